import { expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { openInput } from '../src/cli/input.ts'
import { overlap } from '../src/stream/overlap.ts'
import type { Frame } from '../src/video/frame.ts'

const decoded: number[] = []
/** Yields frames 0 and 1, then throws. */
async function* frames(): AsyncGenerator<Frame> {
  for (let i = 0; i < 2; i++) {
    decoded.push(i)
    yield { time: i } as Frame
  }
  throw new TrecvitError('The camera is gone')
}

vi.mock('../src/video/index.ts', () => ({
  openVideo: async () => ({
    info: {},
    warnings: [],
    close: async () => {},
    [Symbol.asyncIterator]: frames,
  }),
  sample: (video: AsyncIterable<Frame>) => video,
}))

test('a command decodes one frame ahead, and gets every frame before an error', async () => {
  const options = { decoder: 'auto', onError: 'error', pixelAspect: 'ignore' } as const
  const input = await openInput('clip.mp4', options, new AbortController().signal)
  const answered: number[] = []
  await overlap(
    input.frames,
    async ({ time }) => {
      // The next frame is decoded while this one is computed.
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(decoded).toEqual([0, 1])
      return time
    },
    (time) => void answered.push(time),
  )
  expect(answered).toEqual([0, 1])
  expect(input.broken()?.message).toBe('The camera is gone')
})
