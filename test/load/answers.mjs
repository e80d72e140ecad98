/** Inputs of the load test, and what the library answers to them in a process of its own. */
import { readFileSync } from 'node:fs'
import { TRecViT } from '../../dist/index.js'
import { openVideo } from '../../dist/video/index.js'

/** Bytes of a frame of the built-in model, [96,96,3]. */
export const FRAME = 96 * 96 * 3

/** Bytes without a pattern, others for every seed. */
export function noise(count, seed) {
  return Uint8Array.from(
    { length: count },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  )
}

/** Frames of the streams: each stream sends these, from one of them on. */
const LENGTH = 6
/** Different streams and videos. */
const KINDS = 4

/**
 * Streams as their opening, the frames they send and the lines they get; videos as the frames they
 * send and the logits they get.
 */
export async function knownAnswers() {
  const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
  const streams = []
  const videos = []
  const line = ({ frame, probs }) => ({ frame, probs: [...probs.data] })
  for (let seed = 1; seed <= KINDS; seed++) {
    const frames = Array.from({ length: LENGTH }, (_, i) => noise(FRAME, 100 * seed + i))
    const lines = []
    const average = seed % 2 ? { halfLife: seed } : { frames: seed }
    const stream = model.stream({ average })
    for (const data of frames) lines.push(line(await stream.push({ data, shape: [96, 96, 3] })))
    await stream.dispose()
    streams.push({ opening: { width: 96, height: 96, average }, frames, lines })

    const t = 2 * seed - 1
    const video = noise(t * FRAME, seed)
    const { logits } = await model.forward({ data: video, shape: [t, 96, 96, 3] })
    videos.push({ video, t, logits: [...logits.data] })
  }
  const pictures = ['picture.jpg', 'picture.png'].map((name) =>
    readFileSync(new URL(`../media/${name}`, import.meta.url)),
  )
  for (const picture of pictures) {
    const lines = []
    const stream = model.stream()
    for await (const frame of await openVideo(picture)) {
      for (let i = 0; i < 3; i++) lines.push(line(await stream.push(frame)))
    }
    await stream.dispose()
    streams.push({ opening: {}, frames: [picture, picture, picture], lines })
  }
  await model.dispose()
  return { streams, videos }
}
