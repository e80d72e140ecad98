// POST frames of 96 × 96 pixels as raw RGB bytes, one after the other. The response has the answer
// of the built-in model to each.
import { TRecViT } from 'trecvit'

/** Largest number of frames in a request, 27,648 bytes each. */
const MOST = 256
let model

/** @param options options of TRecViT.load that this platform needs */
export async function handle(request, options) {
  if (request.method !== 'POST')
    return Response.json({ error: 'expected POST with frames of raw RGB bytes' }, { status: 405 })
  // With these options the answer is the same on every CPU.
  model ??= TRecViT.load('builtin', { device: 'wasm', deterministic: true, ...options })
  const { config, labels } = await model
  const [height, width] = config.imageSize
  const size = height * width * 3
  const sent = Number(request.headers.get('content-length') ?? 0)
  const tooMuch = (count) =>
    Response.json(
      { error: `expected at most ${MOST} frames of ${size} bytes, got ${count} bytes` },
      { status: 413 },
    )
  if (sent > MOST * size) return tooMuch(sent)
  const bytes = new Uint8Array(await request.arrayBuffer())
  if (bytes.length > MOST * size) return tooMuch(bytes.length)
  if (!bytes.length || bytes.length % size)
    return Response.json(
      { error: `expected whole frames of ${size} bytes, got ${bytes.length} bytes` },
      { status: 400 },
    )
  const video = (await model).stream({ average: 'all' })
  const logits = []
  for (let at = 0; at < bytes.length; at += size)
    logits.push([
      ...(await video.push({ data: bytes.subarray(at, at + size), shape: [height, width, 3] }))
        .logits.data,
    ])
  await video.dispose()
  return Response.json({ labels, logits })
}
