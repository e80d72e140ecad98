import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { crc32 } from '../src/base/crc32.ts'
import { type FrameAnswer, type StreamOptions, TRecViT, TrecvitError } from '../src/index.ts'
import { encodeSnapshot } from '../src/stream/snapshot.ts'
import { Goldens, goldenUrl } from './goldens.ts'

let model: TRecViT
let frames: NdArray<Uint8Array>[]

beforeAll(async () => {
  model = await TRecViT.load(goldenUrl('small.npz'))
  const { values } = (await Goldens.open('small_io.npz')).get('video')
  frames = Array.from({ length: 12 }, (_, frame) => ({
    data: Uint8Array.from(values.subarray(frame * 12288, (frame + 1) * 12288)),
    shape: [64, 64, 3],
  }))
})

async function answers(options: StreamOptions, count = 12): Promise<FrameAnswer[]> {
  const stream = model.stream({ average: 'all', ...options })
  const all: FrameAnswer[] = []
  for await (const answer of stream.run(frames.slice(0, count))) all.push(answer)
  await stream.dispose()
  return all
}

const logits = (all: readonly FrameAnswer[]) => all.map((answer) => [...answer.logits.data])

describe('answers', () => {
  test('are returned in order, even if they are not awaited', async () => {
    const stream = model.stream({ average: 'all' })
    const all = await Promise.all(frames.map((frame) => stream.push(frame)))
    expect(all.map(({ frame }) => frame)).toEqual(frames.map((_, index) => index))
    expect(logits(all)).toEqual(logits(await answers({})))
  })

  test('a stream after a reset answers like a new one', async () => {
    const stream = model.stream({ average: 'all' })
    for (const frame of frames.slice(5)) await stream.push(frame)
    await stream.reset()
    expect(stream.frame).toBe(0)
    const all: FrameAnswer[] = []
    for (const frame of frames) all.push(await stream.push(frame))
    expect(logits(all)).toEqual(logits(await answers({})))
  })

  test('two streams of one model do not affect each other', async () => {
    const one = model.stream({ average: 'all' })
    const other = model.stream({ average: 'all' })
    const all: FrameAnswer[] = []
    for (let index = 0; index < 12; index++) {
      all.push(await one.push(frames[index]!))
      await other.push(frames[11 - index]!)
    }
    expect(logits(all)).toEqual(logits(await answers({})))
  })

  test('a batch of b videos equals b streams', async () => {
    const stream = model.stream({ b: 2, average: 'all' })
    const plain = await answers({})
    for (let index = 0; index < 12; index++) {
      const pair = new Uint8Array(2 * 12288)
      pair.set(frames[11 - index]!.data)
      pair.set(frames[index]!.data, 12288)
      const answer = await stream.push({ data: pair, shape: [2, 64, 64, 3] })
      expect([...answer.logits.data.slice(7)]).toEqual(logits(plain)[index])
      expect(answer.tops[1]).toEqual(plain[index]!.top)
    }
  })
})

describe('average', () => {
  test(
    'over as many frames as there are is the model’s own answer, ' +
      'and that always stands in `overall`',
    async () => {
      const plain = await answers({})
      const wide = await answers({ average: { frames: 12 } })
      plain.forEach((answer, index) =>
        answer.logits.data.forEach((value, c) =>
          expect(wide[index]!.logits.data[c]).toBeCloseTo(value, 5),
        ),
      )
      expect(wide.map(({ overall }) => [...overall.logits.data])).toEqual(logits(plain))
      expect(plain.map(({ overall }) => [...overall.logits.data])).toEqual(logits(plain))
    },
  )

  test('the answer over a window is the mean of the answers to its frames', {
    tags: 'slow',
  }, async () => {
    const single = logits(await answers({ average: { frames: 1 } }))
    const check = (all: number[][], weightOf: (age: number) => number) =>
      all.forEach((got, frame) =>
        got.forEach((value, c) => {
          let sum = 0
          let weights = 0
          for (let age = 0; age <= frame; age++) {
            sum += weightOf(age) * single[frame - age]![c]!
            weights += weightOf(age)
          }
          expect(value).toBeCloseTo(sum / weights, 5)
        }),
      )
    check(logits(await answers({ average: { frames: 5 } })), (age) => (age < 5 ? 1 : 0))
    check(logits(await answers({ average: { halfLife: 2.5 } })), (age) => 2 ** (-age / 2.5))
    check(logits(await answers({})), () => 1)
  })

  test('is a window of half a clip by default', { tags: 'slow' }, async () => {
    const defaults = async (framesPerClip: number) => {
      const half = await TRecViT.load(goldenUrl('small.npz'), { config: { framesPerClip } })
      const all: FrameAnswer[] = []
      for await (const answer of half.stream().run(frames)) all.push(answer)
      await half.dispose()
      return logits(all)
    }
    expect(await defaults(6)).toEqual(logits(await answers({ average: { frames: 3 } })))
    expect(await defaults(7)).toEqual(logits(await answers({ average: { frames: 4 } })))
    expect(await defaults(1)).toEqual(logits(await answers({ average: { frames: 1 } })))
    expect(() => model.stream({ average: null as never })).toThrow('"average" expected')
  })

  test('answers are partial until it is full, again after a reset and a resumption', async () => {
    const partial = (all: readonly FrameAnswer[]) => all.filter((each) => each.partial).length
    expect(partial(await answers({ average: 'all' }))).toBe(0)
    expect(partial(await answers({ average: { frames: 1 } }))).toBe(0)
    expect(partial(await answers({ average: { halfLife: 2.5 } }))).toBe(2)
    const stream = model.stream({ average: { frames: 3 } })
    const push = async (to: typeof stream, count: number) => {
      const all: boolean[] = []
      for (const frame of frames.slice(0, count)) all.push((await to.push(frame)).partial)
      return all
    }
    expect(await push(stream, 4)).toEqual([true, true, false, false])
    await stream.reset()
    expect(await push(stream, 2)).toEqual([true, true])
    expect(await push(await model.resume(await stream.snapshot()), 2)).toEqual([false, false])
  })
})

describe('snapshot', () => {
  const averages: NonNullable<StreamOptions['average']>[] = ['all', { frames: 5 }, { halfLife: 3 }]

  test.each(averages.map((average) => [JSON.stringify(average), average] as const))(
    'resumes bit for bit: %s',
    async (_, average) => {
      const whole = logits(await answers({ average }))
      for (const at of [0, 1, 7]) {
        const stream = model.stream({ average })
        for (const frame of frames.slice(0, at)) void stream.push(frame)
        const bytes = await stream.snapshot()
        await stream.dispose()
        const again = await (await TRecViT.load(goldenUrl('small.npz'))).resume(bytes)
        expect(again.frame).toBe(at)
        const rest: FrameAnswer[] = []
        for (const frame of frames.slice(at)) rest.push(await again.push(frame))
        expect(logits(rest)).toEqual(whole.slice(at))
        expect(rest[0]!.frame).toBe(at)
      }
    },
  )

  test('may lie in a Node Buffer at any offset', async () => {
    const stream = model.stream({ average: 'all' })
    await stream.push(frames[0]!)
    const bytes = await stream.snapshot()
    const buffer = Buffer.alloc(bytes.length + 3)
    buffer.set(bytes, 3)
    const again = await model.resume(buffer.subarray(3))
    expect((await again.push(frames[1]!)).logits).toEqual((await stream.push(frames[1]!)).logits)
  })

  test('of another model is refused', { tags: 'slow' }, async () => {
    const other = await TRecViT.load(goldenUrl('small_gap.npz'), {
      config: { imageSize: [64, 64] },
    })
    await expect(other.resume(await model.stream().snapshot())).rejects.toThrow(
      /was taken from model [0-9a-f]{16}, and this one is [0-9a-f]{16}/,
    )
  })

  test('whose fingerprint is no fingerprint is refused without repeating it', async () => {
    const header = {
      model: '\x1b[2J\n'.repeat(1000),
      b: 1,
      frame: 0,
      recent: 'all' as const,
      states: [],
    }
    await expect(model.resume(await encodeSnapshot({ header, values: [] }))).rejects.toThrow(
      /^The snapshot has a header without the fields model, b/,
    )
  })

  test('any flipped bit, cut or added byte is refused', async () => {
    const stream = model.stream({ average: 'all' })
    await stream.push(frames[0]!)
    const bytes = await stream.snapshot()
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const broken = bytes.slice()
        broken[bit >> 3]! ^= 1 << (bit & 7)
        await expect(model.resume(broken)).rejects.toBeInstanceOf(TrecvitError)
      }),
      { numRuns: 60 },
    )
    for (const length of [0, 3, 15, 16, 100, bytes.length - 1])
      await expect(model.resume(bytes.slice(0, length))).rejects.toBeInstanceOf(TrecvitError)
    await expect(model.resume(new Uint8Array([...bytes, 0]))).rejects.toThrow('damaged')
  })

  test('a wrong header with a right checksum is refused', async () => {
    const bytes = await model.stream().snapshot()
    const view = new DataView(bytes.buffer)
    const size = view.getUint32(8, true)
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + size)))
    const forge = (change: object) => {
      const json = new TextEncoder().encode(JSON.stringify({ ...header, ...change }))
      const forged = new Uint8Array(12 + json.length + bytes.length - 12 - size)
      forged.set(bytes.subarray(0, 12))
      forged.set(json, 12)
      forged.set(bytes.subarray(12 + size), 12 + json.length)
      const to = new DataView(forged.buffer)
      to.setUint32(8, json.length, true)
      to.setUint32(forged.length - 4, crc32(forged.subarray(0, -4)), true)
      return forged
    }
    await expect(model.resume(forge({}))).resolves.toBeDefined()
    for (const change of [
      { b: 1e9 },
      { b: -1 },
      { frame: -1 },
      { frame: 'x' },
      { recent: { frames: 1e9 } },
      { recent: null },
      { states: [] },
      { states: 'x' },
      { states: header.states.map((state: object) => ({ ...state, shape: [2 ** 40, 2 ** 40] })) },
      { states: [...header.states.slice(1), header.states[0]] },
      { model: 5 },
    ])
      await expect(
        model.resume(forge(change)),
        JSON.stringify(change).slice(0, 60),
      ).rejects.toBeInstanceOf(TrecvitError)
  })
})

describe('wrong input', () => {
  test('a frame of another size leaves the stream as it was', async () => {
    const stream = model.stream({ average: 'all' })
    await stream.push(frames[0]!)
    await expect(stream.push({ data: new Uint8Array(300), shape: [10, 10, 3] })).rejects.toThrow(
      'A frame expected shape [64,64,3], got [10,10,3]',
    )
    expect([...(await stream.push(frames[1]!)).logits.data]).toEqual(
      logits(await answers({}, 2))[1],
    )
  })

  test('options are checked by name', () => {
    expect(() => model.stream({ b: 0 })).toThrow('"b" expected an integer, at least 1, got 0')
    expect(() => model.stream({ average: { frames: 0 } })).toThrow('"average" expected')
    expect(() => model.stream({ average: { halfLife: -1 } })).toThrow('"average" expected')
    expect(() => model.stream({ topK: 1.5 })).toThrow('"topK" expected')
  })

  test('an ImageData of any size is resized and cropped', async () => {
    const grey = new Uint8ClampedArray(4 * 200 * 100).fill(128)
    const same = new Uint8Array(12288).fill(128)
    const [one, other] = [
      await model.stream().push({ data: grey, width: 200, height: 100 }),
      await model.stream().push({ data: same, shape: [64, 64, 3] }),
    ]
    expect(one.logits.data).toEqual(other.logits.data)
  })
})
