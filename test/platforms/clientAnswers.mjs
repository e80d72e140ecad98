/** What trecvit/client answers in a runtime, for client.mjs: plain values, to be sent as JSON. */

const SIZE = 96
/** Frames of the stream. */
export const FRAMES = 100
/** Frames of the request. */
export const CLIP = 4

/** Returns a frame of noise. */
export function frameOf(number) {
  let state = number + 1
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24
  return Uint8Array.from({ length: SIZE * SIZE * 3 }, next)
}

/**
 * @param library the module trecvit/client
 * @param url address of a server with the built-in model
 */
export async function clientAnswers({ Client }, url, token, name) {
  const client = new Client(url, { token })
  const data = new Uint8Array(CLIP * SIZE * SIZE * 3)
  for (let frame = 0; frame < CLIP; frame++) data.set(frameOf(frame), frame * SIZE * SIZE * 3)
  const clip = { data, shape: [1, CLIP, SIZE, SIZE, 3] }
  const inferred = []
  for (const binary of [true, false]) {
    const { outputs } = await client.infer('builtin', { frames: clip }, { binary })
    inferred.push({ logits: [...outputs.logits.data], label: outputs.labels.data[0] })
  }
  const refused = async (work) => work.then(String, ({ message, status }) => ({ message, status }))
  const none = await refused(client.metadata('none'))
  const locked = await refused(new Client(url).models())

  const stream = client.openStream('builtin', {
    ...{ sequenceId: `camera of ${name}`, width: SIZE, height: SIZE, average: 'all' },
  })
  function* frames() {
    for (let frame = 0; frame < FRAMES; frame++) yield frameOf(frame)
  }
  const answers = []
  for await (const { frame, probs } of stream.run(frames())) answers.push([frame, ...probs])
  await stream.end()
  const ready = [await client.ready('builtin'), await client.ready('none')]
  return { inferred, none, locked, ready, answers, connections: stream.connections }
}
