import { expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { openInput } from '../src/cli/input.ts'
import type { Frame } from '../src/video/frame.ts'

const decoded: number[] = []
/** Frames 0 and 1, and then an error. */
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
  const taken: number[] = []
  for await (const { time } of input.frames) {
    taken.push(time)
    // The command works with this frame, and the next one is under way.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(decoded).toEqual([0, 1])
  }
  expect(taken).toEqual([0, 1])
  expect(input.broken()?.message).toBe('The camera is gone')
})
