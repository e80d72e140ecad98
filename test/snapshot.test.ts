/** Formats of a snapshot: contents, size, and errors of a reader. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crc32 } from '../src/base/crc32.ts'
import { type Average, type SnapshotOptions, TRecViT, TrecvitError } from '../src/index.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { decodeSnapshot, encodeSnapshot, snapshotBytes } from '../src/stream/snapshot.ts'
import type { SnapshotHeader } from '../src/stream/snapshotHeader.ts'
import { noise, tinyNpz } from './commandLine.ts'
import version1 from './snapshots/version1.json' with { type: 'json' }

const averages: readonly Average[] = ['all', { frames: 3 }, { halfLife: 2.5 }]
const forms: readonly SnapshotOptions[] = [{}, { dtype: 'f16' }]
const cases = forms.flatMap((form) => averages.map((average) => ({ form, average })))
const frame = (index: number) => ({ data: noise(768, index), shape: [16, 16, 3] })

let model: TRecViT
beforeAll(async () => {
  model = await TRecViT.load(tinyNpz(), { device: 'wasm', deterministic: true })
})
afterAll(() => model.dispose())

/** Returns a snapshot after five frames, and the logits of the next four. */
async function take(average: Average, form: SnapshotOptions) {
  await using stream = model.stream({ average })
  for (let index = 0; index < 5; index++) await stream.push(frame(index))
  const snapshot = await stream.snapshot(form)
  const logits: number[][] = []
  for (let index = 5; index < 9; index++)
    logits.push([...(await stream.push(frame(index))).logits.data])
  return { snapshot, logits }
}

async function resumed(snapshot: Uint8Array): Promise<number[][]> {
  await using stream = await model.resume(snapshot)
  expect(stream.frame).toBe(5)
  const logits: number[][] = []
  for (let index = 5; index < 9; index++)
    logits.push([...(await stream.push(frame(index))).logits.data])
  return logits
}

test.each(version1.streams)(
  'version 1 over $average is resumed, with the same bits',
  async ({ snapshot, logits }) => {
    expect(model.fingerprint).toBe(version1.model)
    expect(await resumed(Buffer.from(snapshot, 'base64'))).toEqual(logits)
  },
)

test.each(version1.streams)(
  'the default form over $average is still version 1, byte for byte',
  async ({ average, snapshot }) => {
    const { snapshot: now } = await take(average as Average, {})
    expect(Buffer.from(now).toString('base64')).toBe(snapshot)
  },
)

test.each(cases)('$form over $average is resumed', async ({ form, average }) => {
  const { snapshot, logits } = await take(average, form)
  const buffer = Buffer.alloc(snapshot.length + 3)
  buffer.set(snapshot, 3)
  const got = await resumed(buffer.subarray(3))
  if (form.dtype !== 'f16') return expect(got).toEqual(logits)
  const largest = Math.max(...logits.flat().map(Math.abs))
  const error = Math.max(...got.flat().map((value, at) => Math.abs(value - logits.flat()[at]!)))
  expect(error).toBeGreaterThan(0)
  expect(error).toBeLessThan(2e-3 * largest)
})

describe('a trained model', () => {
  test('sizes, and the error of f16, are as documented', { tags: 'slow' }, async () => {
    const trained = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
    const [height, width] = trained.config.imageSize
    const next = (index: number) => ({
      data: Uint8Array.from(
        { length: 3 * height * width },
        (_, at) =>
          128 +
          100 * Math.sin((at % (3 * width)) / 37 + index / 5 + Math.floor(at / (3 * width)) / 23),
      ),
      shape: [height, width, 3],
    })
    await using stream = trained.stream({ average: { frames: 1 } })
    for (let index = 0; index < 16; index++) await stream.push(next(index))
    const exact = await stream.snapshot()
    const half = await stream.snapshot({ dtype: 'f16' })
    expect(half.length / exact.length).toBeLessThan(0.52)
    await using again = await trained.resume(half)
    let worst = { recent: 0, overall: 0 }
    for (let index = 16; index < 32; index++) {
      const [want, got] = [await stream.push(next(index)), await again.push(next(index))]
      const error = (of: Float32Array, wanted: Float32Array) =>
        Math.max(...of.map((value, at) => Math.abs(value - wanted[at]!))) /
        Math.max(...wanted.map(Math.abs))
      worst = {
        recent: Math.max(worst.recent, error(got.logits.data, want.logits.data)),
        overall: Math.max(worst.overall, error(got.overall.logits.data, want.overall.logits.data)),
      }
    }
    console.log(
      `f16 costs ${worst.recent.toExponential(1)} of the largest logit of one frame, ` +
        `${worst.overall.toExponential(1)} of that over all`,
    )
    expect(worst.recent).toBeLessThan(1e-3)
    expect(worst.overall).toBeLessThan(1e-4)
    await trained.dispose()
  })
})

describe('f16', () => {
  const header = { model: 'x', b: 1, frame: 3, recent: 'all' as const }
  const roundTrip = async (
    states: readonly { values: number[]; sum?: true }[],
    form: SnapshotOptions,
  ) => {
    const bytes = await encodeSnapshot(
      {
        header: {
          ...header,
          states: states.map(({ values, sum }, at) => ({
            name: `${at}`,
            shape: [1, values.length],
            ...(sum && { sum }),
          })),
        },
        values: states.map(({ values }) => Float32Array.from(values)),
      },
      form,
    )
    const snapshot = decodeSnapshot(bytes)
    return {
      dtypes: snapshot.header.states.map(({ dtype = 'f32' }) => dtype),
      values: (await snapshot.values()).map((value) => [...value]),
    }
  }
  const odd = [NaN, Infinity, -Infinity, -0, 65504, 2 ** -24]

  test.each(forms)(
    '%o keeps sums, states beyond 65504, and values that are no numbers',
    async (form) => {
      const { dtypes, values } = await roundTrip(
        [{ values: odd }, { values: [0.1], sum: true }, { values: [0.1, 1e5] }, { values: [] }],
        form,
      )
      expect(dtypes).toEqual(
        form.dtype === 'f16' ? ['f16', 'f32', 'f32', 'f16'] : ['f32', 'f32', 'f32', 'f32'],
      )
      expect(values).toEqual([odd, [Math.fround(0.1)], [Math.fround(0.1), 1e5], []])
    },
  )

  test('the states of 70,001 elements', async () => {
    const values = [...new Float32Array(noise(280_004, 3).buffer)].map((value) =>
      Math.abs(value) < 1e4 ? value : 1,
    )
    for (const form of forms) {
      const {
        values: [got],
      } = await roundTrip([{ values }, { values: [1, 2, 3] }], form)
      got!.forEach((value, at) => {
        const error = form.dtype === 'f16' ? 2 ** -11 * Math.abs(values[at]!) + 2 ** -25 : 0
        if (!(Math.abs(value - values[at]!) <= error))
          expect.fail(`${JSON.stringify(form)}: ${values[at]} became ${value}`)
      })
    }
  })
})

test.each(cases)(
  'the limit of $form over $average follows from the states',
  async ({ form, average }) => {
    const { states } = sessionsOf(model).open({ b: 1, recent: average, encoded: false })
    const values = states.map(({ shape }, at) => {
      const size = shape.reduce((product, side) => product * side, 1)
      return new Float32Array(noise(4 * size, at).buffer)
    })
    const header = {
      model: model.fingerprint,
      b: 1,
      frame: Number.MAX_SAFE_INTEGER,
      recent: average,
      states,
    }
    const { length } = await encodeSnapshot({ header, values }, form)
    expect(length).toBeLessThanOrEqual(snapshotBytes(states))
    expect(snapshotBytes(states)).toBeLessThan(
      1.01 * 4 * values.reduce((sum, value) => sum + value.length, 0) + 4096,
    )
  },
)

describe('what is refused', () => {
  /** Returns a snapshot with another header or other states, and a correct checksum. */
  function forge(
    bytes: Uint8Array,
    change: (header: SnapshotHeader) => object,
    payload?: Uint8Array,
    version = 2,
  ): Uint8Array {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true)
    const header = JSON.parse(
      Buffer.from(bytes.subarray(12, 12 + size)).toString(),
    ) as SnapshotHeader
    const json = Buffer.from(JSON.stringify({ ...header, ...change(header) }))
    const forged = Buffer.concat([
      bytes.subarray(0, 12),
      json,
      payload ?? bytes.subarray(12 + size, -4),
      Buffer.alloc(4),
    ])
    forged.writeUInt32LE(version, 4)
    forged.writeUInt32LE(json.length, 8)
    forged.writeUInt32LE(crc32(forged.subarray(0, -4)), forged.length - 4)
    return forged
  }
  const same = () => ({})
  const half = async () => (await take('all', { dtype: 'f16' })).snapshot
  const stateBytes = () =>
    4 *
    model
      .program()
      .states.reduce(
        (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
        0,
      )

  test('the modified snapshots differ only in what was changed', async () => {
    await expect(resumed(forge(await half(), same))).resolves.toHaveLength(4)
    const exact = ({ states }: SnapshotHeader) => ({
      states: states.map((state) => ({ ...state, dtype: 'f32' })),
    })
    await expect(
      resumed(forge(await half(), exact, new Uint8Array(stateBytes()))),
    ).resolves.toHaveLength(4)
  })

  test('shapes that no bytes could hold take no memory', async () => {
    const large = { states: [{ name: 'x', shape: [2 ** 20, 2 ** 20] }] }
    const bytes = forge(await half(), () => large)
    expect(() => decodeSnapshot(bytes)).toThrow(/expected 4398046511104 bytes of states, got \d+/)
    await expect(model.resume(bytes)).rejects.toBeInstanceOf(TrecvitError)
  })

  test.each<[string, (header: SnapshotHeader) => object, (() => Uint8Array | undefined)?, number?]>(
    [
      [
        'states of another model',
        ({ states }) => ({ states: states.map((state) => ({ ...state, name: 'x' })) }),
      ],
      ['fewer states', ({ states }) => ({ states: states.slice(1) })],
      [
        'an unknown number format',
        ({ states }) => ({ states: states.map((state) => ({ ...state, dtype: 'f64' })) }),
      ],
      [
        'a list for a number format',
        ({ states }) => ({ states: states.map((state) => ({ ...state, dtype: ['f16'] })) }),
      ],
      [
        'half as many bytes as float32 takes',
        ({ states }) => ({ states: states.map((state) => ({ ...state, dtype: 'f32' })) }),
        () => new Uint8Array(stateBytes() / 2),
      ],
      [
        'half-precision that says nothing',
        ({ states }) => ({ states: states.map(({ name, shape }) => ({ name, shape })) }),
      ],
      ['half-precision in version 1', same, () => undefined, 1],
      ['version 3', same, () => undefined, 3],
      ['a byte less', same, () => new Uint8Array(stateBytes() / 2 - 1)],
      ['as many bytes as float32 takes', same, () => new Uint8Array(stateBytes())],
      ['nothing', same, () => new Uint8Array(0)],
    ],
  )('%s', async (_, change, payload, version) => {
    await expect(
      model.resume(forge(await half(), change, payload?.(), version)),
    ).rejects.toBeInstanceOf(TrecvitError)
  })

  test('other options', async () => {
    await using stream = model.stream()
    await expect(stream.snapshot({ dtype: 'f64' as 'f32' })).rejects.toThrow(
      '"dtype" of a snapshot expected \'f32\' or \'f16\', got "f64"',
    )
  })
})
