/** Streams that share a GPU: their frames run as batches, with the answers of each stream alone. */
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { encode } from '../src/backend/webgpu/encode.ts'
import { lower } from '../src/backend/webgpu/int8.ts'
import { Matrices } from '../src/backend/webgpu/matrix.ts'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, type FrameAnswer, TRecViT } from '../src/index.ts'
import { recordModel } from '../src/model/graph.ts'
import { fragileGpu, watchedGpu } from './faults.ts'
import { gpu } from './gpu.ts'

const STREAMS = 32
const COUNT = 500

/** 17 tokens: the products of a stream have more than 8 rows, and those of its head have one. */
const config = configOf('mu', { imageSize: [64, 64], repSize: 24, numClasses: 8 })
let bytes: Uint8Array
let frames: NdArray<Uint8Array>[]

beforeAll(async () => {
  bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const random = noise(5)
  frames = Array.from({ length: 50 }, () => ({
    data: Uint8Array.from({ length: 64 * 64 * 3 }, () => 128 + 127 * random()),
    shape: [64, 64, 3],
  }))
})

const load = (entry: GPU) => TRecViT.load(bytes, { device: 'webgpu', gpu: entry })

/** Returns a function of random integers 0..n−1. */
function integers(seed: number): (n: number) => number {
  const random = noise(seed)
  return (n) => Math.min(n - 1, Math.floor(((random() + 1) / 2) * n))
}

/** Every number of an answer. */
const numbersOf = ({ frame, logits, probs, overall }: FrameAnswer) => [
  frame,
  ...logits.data,
  ...probs.data,
  ...overall.logits.data,
]

/** The numbers of all answers of a stream, and its snapshots. */
type Results = (number[] | Uint8Array)[]

/** One call of a stream: a frame, by index; `new`: it ends, and another one joins. */
type Call = number | 'reset' | 'snapshot' | 'new'

/** Plans the calls of a stream: so many frames, and other calls at random. */
function planOf(length: number, random: (n: number) => number): Call[] {
  return Array.from({ length }, (): Call[] => {
    const other = random(12)
    const frame = random(frames.length)
    if (other < 3) return [(['reset', 'snapshot', 'new'] as const)[other]!, frame]
    return [frame]
  }).flat()
}

/**
 * Makes the calls of a plan, without waiting for their results.
 * @param pause called between two calls
 * @returns the numbers of all answers, and the snapshots
 */
async function play(
  model: TRecViT,
  plan: readonly Call[],
  pause: (latest: Promise<unknown>) => Promise<unknown>,
): Promise<Results> {
  const open = () => model.stream({ average: { frames: 3 } })
  let stream = open()
  const results: Promise<number[] | Uint8Array>[] = []
  for (const call of plan) {
    if (call === 'reset') void stream.reset()
    else if (call === 'new') {
      void stream.dispose()
      stream = open()
    } else if (call === 'snapshot') {
      const snapshot = stream.snapshot()
      results.push(snapshot)
      void stream.dispose()
      stream = await model.resume(await snapshot)
    } else results.push(stream.push(frames[call]!).then(numbersOf))
    if (results.length) await pause(results.at(-1)!)
  }
  await stream.dispose()
  return Promise.all(results)
}

/**
 * Plays every plan, all at once. A stream joins at any time, and waits now and then.
 * @param onCall called between two calls
 */
const playTogether = (
  model: TRecViT,
  plans: readonly Call[][],
  random: (n: number) => number,
  onCall: () => void = () => {},
) =>
  Promise.all(
    plans.map(async (plan) => {
      for (let turns = random(60); turns > 0; turns--) await turn()
      return play(model, plan, async (latest) => {
        onCall()
        if (random(4) === 0) await latest
        for (let turns = random(3); turns > 0; turns--) await turn()
      })
    }),
  )

/** Asserts that all results of all streams are equal. */
function expectSame(got: readonly Results[], want: readonly Results[]): void {
  expect(got.map(({ length }) => length)).toEqual(want.map(({ length }) => length))
  got.forEach((results, stream) =>
    results.forEach((result, index) => {
      const alone = want[stream]![index]!
      if (
        result.length !== alone.length ||
        !result.every((value, at) => Object.is(value, alone[at]))
      )
        expect.fail(`stream ${stream} has another result ${index} than alone`)
    }),
  )
}

/** Plays every plan, one after another. */
async function playAlone(model: TRecViT, plans: readonly Call[][]): Promise<Results[]> {
  const all: Results[] = []
  for (const plan of plans) all.push(await play(model, plan, (latest) => latest))
  return all
}

describe('a batch of streams chooses the kernels of one stream', () => {
  test.each(['mu', 'Ti', 'S', 'B'] as const)('%s', (size) => {
    const model = configOf(size)
    for (const dtype of ['f32', 'f16', 'int8'] as const) {
      const shape = { M: 16, N: 16, K: 16, subgroup: 32, sized: false }
      const matrices = dtype === 'int8' ? undefined : new Matrices(shape, dtype)
      const kernelsOf = (streams: number) => {
        const options = { b: 1, t: 1, pixels: 'u8', recent: 'window', encoded: false } as const
        const program = recordModel(model, { ...options, dtype, streams })
        return lower(program)
          .program.steps.flatMap((step) => {
            const call = encode(step, dtype, 32768)
            return [call, matrices?.replace(call, step.sizes) ?? call]
          })
          .map(({ op, entry, constants, dtype, matrix }) => [op, entry, constants, dtype, matrix])
      }
      const alone = kernelsOf(1)
      for (const streams of [2, 4, 8, 16, 32]) expect(kernelsOf(streams)).toEqual(alone)
    }
  })
})

describe.skipIf(!gpu)('on a GPU', { tags: ['slow', 'gpu'], timeout: 300_000 }, () => {
  // On a busy machine a software GPU is slow, and a slow GPU gets small batches.
  beforeEach(() => {
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() / 100)
  })
  afterEach(() => void vi.restoreAllMocks())

  test('32 streams that join, leave and reset at random answer as each of them alone', async () => {
    const { gpu: entry, sizes } = watchedGpu()
    await using model = await load(entry)
    const random = integers(7)
    const plans = Array.from({ length: STREAMS }, (_, index) =>
      planOf(Math.floor((COUNT + index) / STREAMS), random),
    )
    sizes.length = 0
    const got = await playTogether(model, plans, random)
    expect(got.flat().filter(Array.isArray)).toHaveLength(COUNT)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(COUNT)
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(16)
    expect(sizes.length).toBeLessThan(COUNT / 4)
    sizes.length = 0
    expectSame(got, await playAlone(model, plans))
    expect(sizes).toEqual(new Array(COUNT).fill(1))
  })

  test('of streams whose device is lost, each answers every frame as alone', async () => {
    const { gpu: entry, loseDevice, opened, buffers } = fragileGpu()
    await using model = await load(entry)
    const random = integers(3)
    const plans = Array.from({ length: 10 }, () => planOf(12, random))
    let calls = 0
    const got = await playTogether(model, plans, random, () => {
      if (++calls === 50 || calls === 90) loseDevice()
    })
    expect(opened()).toBe(3)
    expect(model.health).toEqual({ losses: 2, failure: null })
    expectSame(got, await playAlone(model, plans))
    await model.dispose()
    expect(buffers()).toEqual([])
  })

  test('a state that is saved between two batches is that of its frame', async () => {
    const { gpu: entry, loseDevice } = fragileGpu()
    await using model = await load(entry)
    // A stream first saves its state after 32 frames.
    const plans = Array.from({ length: 3 }, (_, stream) =>
      Array.from({ length: 40 }, (_, index) => (7 * stream + index) % frames.length),
    )
    const streams = plans.map(() => model.stream({ average: { frames: 3 } }))
    const answers = plans.map((plan, index) =>
      plan.map((frame) => streams[index]!.push(frames[frame]!).then(numbersOf)),
    )
    await Promise.all(answers.map((own) => own[36]))
    loseDevice()
    const got = await Promise.all(answers.map((own) => Promise.all(own)))
    expect(model.health.losses).toBe(1)
    expectSame(got, await playAlone(model, plans))
  })

  // Buffers of this size have room for the activations of 4 streams and for 32 slots; or for 2
  // streams and 8 slots.
  test.each([
    [4, 300_000],
    [2, 110_000],
  ])('where no more than %i streams fit, smaller batches run', async (most, size) => {
    const { gpu: entry, sizes } = watchedGpu({ maxStorageBufferBindingSize: size })
    await using model = await load(entry)
    sizes.length = 0
    const random = integers(9)
    const plans = Array.from({ length: 20 }, () => planOf(4, random))
    const got = await playTogether(model, plans, random)
    expect(Math.max(...sizes)).toBe(most)
    expectSame(got, await playAlone(model, plans))
  })
})
