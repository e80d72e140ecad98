import { describe, expect, test } from 'vitest'
import { type Frame, type SampleOptions, sample } from '../src/video/index.ts'

const at = (time: number): Frame => ({
  format: 'gray',
  width: 1,
  height: 1,
  planes: [],
  time,
  rotation: 0,
  matrix: 'bt601',
  fullRange: false,
  siting: 'left',
})

/** A video with these frame times. Counts the frames; `freed` is set when iteration ends. */
function video(times: readonly number[]): {
  frames: AsyncGenerator<Frame>
  state: { made: number; freed: boolean }
} {
  const state = { made: 0, freed: false }
  async function* frames(): AsyncGenerator<Frame> {
    try {
      for (const time of times) {
        state.made++
        yield at(time)
      }
    } finally {
      state.freed = true
    }
  }
  return { frames: frames(), state }
}

async function pick(times: readonly number[], options: SampleOptions): Promise<number[]> {
  const { frames, state } = video(times)
  const picked: number[] = []
  for await (const frame of sample(frames, options)) picked.push(frame.time)
  expect(state.freed).toBe(true)
  return picked
}

const every = (gap: number, count: number, zero = 0): number[] =>
  Array.from({ length: count }, (_, i) => zero + i * gap)
const indices = (times: readonly number[], gap: number): number[] =>
  times.map((time) => Math.round(time / gap))

describe('the chosen frames', () => {
  test('everything, every n-th, the first n, from a time on', async () => {
    const times = every(0.1, 10)
    expect(await pick(times, {})).toEqual(times)
    expect(indices(await pick(times, { stride: 3 }), 0.1)).toEqual([0, 3, 6, 9])
    expect(indices(await pick(times, { frames: 4 }), 0.1)).toEqual([0, 1, 2, 3])
    expect(indices(await pick(times, { start: 0.3 }), 0.1)).toEqual([3, 4, 5, 6, 7, 8, 9])
    expect(indices(await pick(times, { start: 0.25, stride: 2, frames: 2 }), 0.1)).toEqual([3, 5])
    expect(await pick(times, { start: 5 })).toEqual([])
    expect(await pick([], { fps: 5 })).toEqual([])
  })

  test('a slower rate takes the frame on the screen at each tick', async () => {
    expect(indices(await pick(every(1 / 30, 60), { fps: 10 }), 1 / 30)).toEqual(every(3, 20))
    expect(indices(await pick(every(1 / 30, 31), { fps: 12 }), 1 / 30)).toEqual([
      0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30,
    ])
    expect(indices(await pick(every(1001 / 30000, 300), { fps: 25 }), 1001 / 30000)).toHaveLength(
      251,
    )
  })

  test('times rounded to milliseconds do not make a tick miss its frame', async () => {
    const rounded = every(1 / 30, 220).map((time) => Math.round(time * 1000) / 1000)
    expect(indices(await pick(rounded, { fps: 30 }), 1 / 30)).toEqual(every(1, 220))
    expect(indices(await pick(rounded, { fps: 15 }), 1 / 30)).toEqual(every(2, 110))
  })

  test('a faster rate repeats; the last frame stays as long as the one before', async () => {
    expect(indices(await pick(every(0.2, 3), { fps: 10 }), 0.2)).toEqual([0, 0, 1, 1, 2, 2])
    expect(await pick([0], { fps: 10 })).toEqual([0])
  })

  test('a variable rate', async () => {
    expect(await pick([0, 0.05, 0.1, 0.15, 0.9, 1.0], { fps: 10 })).toEqual([
      0, 0.1, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.9, 1.0,
    ])
  })

  test('a jump of the clock is cut to 10 s, or to 10 times the gap before', async () => {
    const jump = [...every(0.1, 10), ...every(0.1, 10, 3600.9)]
    const picked = await pick(jump, { fps: 5 })
    expect(picked).toHaveLength(60)
    expect(picked.slice(-5).map((time) => Math.round(time * 10))).toEqual([
      36010, 36012, 36014, 36016, 36018,
    ])
    // A low frame rate is not a jump: here one frame every 10 s.
    expect(
      await pick(
        every(60, 4).map((time) => time / 6),
        { fps: 0.1 },
      ),
    ).toHaveLength(4)
    expect(await pick([0, 9, 69, 129], { fps: 1 })).toHaveLength(189)
  })

  test('ticks, then stride, then the limit; times need not begin at 0', async () => {
    expect(
      indices(await pick(every(0.1, 40), { fps: 5, stride: 2, frames: 3, start: 0.4 }), 0.1),
    ).toEqual([4, 8, 12])
    const late = every(0.1, 10, 1000)
    expect((await pick(late, { fps: 5, start: 0.2 })).map((time) => Math.round(time * 10))).toEqual(
      [10002, 10004, 10006, 10008],
    )
  })
})

test('nothing is decoded beyond the last frame that is wanted', async () => {
  for (const [options, made] of [
    [{ frames: 3 }, 3],
    [{ frames: 3, stride: 2 }, 5],
    [{ frames: 2, fps: 5 }, 4],
  ] as const) {
    const { frames, state } = video(every(0.1, 100))
    for await (const _ of sample(frames, options));
    expect(state).toEqual({ made, freed: true })
  }
})

test('leaving early frees the source', async () => {
  const { frames, state } = video(every(0.1, 100))
  for await (const _ of sample(frames, { fps: 10 })) break
  expect(state.freed).toBe(true)
})

test('wrong options', () => {
  const { frames } = video([])
  expect(() => sample(frames, { fps: 0 })).toThrow('fps must be a positive number, not 0')
  expect(() => sample(frames, { fps: NaN })).toThrow('fps must be a positive number, not NaN')
  expect(() => sample(frames, { stride: 1.5 })).toThrow(
    'stride must be an integer from 1 on, not 1.5',
  )
  expect(() => sample(frames, { frames: 0 })).toThrow('frames must be an integer from 1 on, not 0')
  expect(() => sample(frames, { start: -1 })).toThrow(
    'start must be a number of seconds from 0 on, not -1',
  )
})
