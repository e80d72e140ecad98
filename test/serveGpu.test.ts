/** A server with a model on a GPU, and streams with ids over several WebSockets at once. */
import { expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { Client } from '../src/client/index.ts'
import { TRecViT } from '../src/index.ts'
import { noise } from './commandLine.ts'
import { watchedGpu } from './faults.ts'
import { goldenUrl } from './goldens.ts'
import { gpu } from './gpu.ts'
import { appOf, sequencesOf } from './serving.ts'
import { base, serve, useServer } from './sockets.ts'

useServer()

const STREAMS = 4
const COUNT = 8
const SIZE = { width: 64, height: 64 }
const BYTES = 64 * 64 * 3

test.skipIf(!gpu)(
  'streams over WebSockets at once answer as each of them alone, on a GPU',
  { tags: ['slow', 'gpu'], timeout: 240_000 },
  async () => {
    // On a busy machine a software GPU is slow, and a slow GPU gets small batches.
    const now = performance.now.bind(performance)
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() / 100)
    const { gpu, sizes } = watchedGpu()
    const options = { device: 'webgpu', gpu } as const
    await using model = await TRecViT.load(goldenUrl('small.npz'), options)
    const limits = { maxBody: 1e6, maxStreams: STREAMS, timeout: 60_000 }
    const models = new Map([['small', model]])
    await serve(appOf({ ...limits, models, sequences: sequencesOf() }), limits)
    const client = new Client(`http://${base}`, { WebSocket: WebSocket as never })
    const framesOf = (stream: number) =>
      Array.from({ length: COUNT }, (_, index) => noise(BYTES, 100 * stream + index))
    const got = await Promise.all(
      Array.from({ length: STREAMS }, async (_, number) => {
        const own = { sequenceId: `cam-${number}`, timeout: 60_000, ...SIZE }
        const stream = client.openStream('small', own)
        const answers = []
        for await (const { frame, probs } of stream.run(framesOf(number)))
          answers.push([frame, ...probs])
        await stream.end()
        return answers
      }),
    )
    clock.mockRestore()
    expect(Math.max(...sizes), 'the largest batch').toBeGreaterThan(1)
    for (const [number, answers] of got.entries()) {
      const stream = model.stream()
      for (const [index, data] of framesOf(number).entries()) {
        const { frame, probs } = await stream.push({ data, shape: [64, 64, 3] })
        expect(answers[index], `frame ${index} of stream ${number}`).toEqual([frame, ...probs.data])
      }
      await stream.dispose()
    }
  },
)
