/**
 * Int8 matrices: products are bit-identical in every build and for any number of threads. Results
 * are close to those of float32.
 */
import { describe, expect, test } from 'vitest'
import { LEVELS, quantize } from '../src/base/int8.ts'
import { backends, optionsOf, tagsOf, threadedBackends, threadPool } from './backends.ts'
import { Goldens } from './goldens.ts'
import { blockProblem, exact, problem } from './int8Products.ts'
import { loadModel, models } from './models.ts'
import { expectSame, noise, type OpCase, runOp } from './ops.ts'

const cpu = backends.filter(({ name }) => name.startsWith('wasm'))

describe('quantize', () => {
  test('each value is within half a step, the largest of a column exact', () => {
    const [rows, columns, blocks] = [37, 13, 3]
    const given = noise(blocks * rows * columns, 1).map(
      (value, index) => value * 10 ** ((index % columns) - 6),
    )
    const { values, scales } = quantize(given, columns, blocks)
    expect(scales.length).toBe(blocks * columns)
    const largest = new Float32Array(blocks * columns)
    given.forEach((value, index) => {
      const column = Math.floor(index / (rows * columns)) * columns + (index % columns)
      expect(Math.abs(values[index]! * scales[column]! - value)).toBeLessThanOrEqual(
        scales[column]! * 0.5000001,
      )
      largest[column] = Math.max(largest[column]!, Math.abs(values[index]!))
    })
    expect(new Set(largest)).toEqual(new Set([LEVELS]))
  })

  test('a column of zeros, and one with NaN', () => {
    const { values, scales } = quantize(Float32Array.of(0, NaN, Infinity, 0, 1, 1), 3)
    expect([...values]).toEqual([0, 0, 0, 0, 0, 0])
    expect([...scales]).toEqual([0, NaN, Infinity])
  })
})

const cases = [
  ...Array.from({ length: 18 }, (_, k) => problem({ rows: 3, k: k + 1, n: 9 })),
  ...[1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33].map((n) =>
    problem({ rows: 7, k: 12, n, bias: true }),
  ),
  ...Array.from({ length: 13 }, (_, rows) => problem({ rows: rows + 1, k: 10, n: 24, bias: true })),
  ...[197, 198, 200, 201, 400].map((rows) => problem({ rows, k: 9, n: 17 })),
  ...[31, 32, 33, 47, 48, 49].map((k) => problem({ rows: 3, k, n: 9 })),
  problem({ rows: 7, k: 40, n: 24, bias: true, add: true }),
  problem({ rows: 6, k: 4100, n: 24, add: true }),
  problem({ t: 3, rows: 5, k: 33, n: 17, bias: true, add: true }),
  // Sizes near blocks of 512 lanes with 2 and 4 integers.
  ...[1023, 1024, 1025, 2047, 2048, 2049, 4100].map((k) =>
    problem({ rows: 6, k, n: 17, bias: true }),
  ),
  ...[1, 2, 3, 4, 5, 8, 13].map((k) => blockProblem({ rows: 3, blocks: 3, k, n: 9 })),
  ...[1, 7, 8, 9, 15, 16, 17, 24, 25, 32].map((n) => blockProblem({ rows: 7, blocks: 2, k: 6, n })),
  ...Array.from({ length: 13 }, (_, rows) =>
    blockProblem({ rows: rows + 1, blocks: 4, k: 10, n: 24 }),
  ),
  blockProblem({ rows: 5, blocks: 1, k: 12, n: 17 }),
  blockProblem({ t: 3, rows: 13, blocks: 5, k: 33, n: 17 }),
  blockProblem({ rows: 197, blocks: 2, k: 128, n: 256 }),
]

/** Exact results, which all backends share. */
const products = new Map<OpCase, Float32Array>()
function productOf(op: OpCase): Float32Array {
  const product = products.get(op) ?? exact(op)
  products.set(op, product)
  return product
}

describe.each([...cpu, threadPool])('$name', ({ name, create }) => {
  test.each(cases)('$name', optionsOf({ name }), async (op) => {
    for (const gap of [0, 5])
      expectSame('the product', (await runOp(create, op, gap)).output, productOf(op))
  })

  test('ties, the largest sums, zeros', async () => {
    const halves = Float32Array.from({ length: 256 }, (_, i) => i - 127.5).map((value, i) =>
      i === 0 ? 127 : value,
    )
    for (const op of [
      problem({ rows: 1, k: 256, n: 9, x: halves }),
      problem({ rows: 2, k: 8, n: 9, x: new Float32Array(16), bias: true }),
      problem({ rows: 7, k: 4096, n: 9, x: new Float32Array(7 * 4096).fill(1) }),
      // The blocks of a row have scales of their own, down to zero.
      blockProblem({
        ...{ rows: 2, blocks: 3, k: 4, n: 9 },
        x: noise(24, 1).map((value, at) => value * [1, 1e-9, 0, 1e9, 0, 1][at >> 2]!),
      }),
      problem({
        rows: 2,
        k: 5,
        n: 9,
        x: Float32Array.of(1e-38, 3e-39, -1e-39, 0, 1e-45, 3e38, -2e38, 1e38, 1, 0),
      }),
    ])
      expectSame(op.name, (await runOp(create, op)).output, exact(op))
  })

  test.each([5, 40])('NaN and infinity give NaN in their own row only, k = %i', async (k) => {
    const x = noise(7 * k, 1)
    x[2 * k + 2] = NaN
    x[5 * k + 1] = Infinity
    const isSpoilt = (row: number) => row === 2 || row === 5
    const op = problem({ rows: 7, k, n: 9, x, bias: true })
    const { output } = await runOp(create, op)
    const values = x.map((value, i) => (isSpoilt(Math.floor(i / k)) ? 0 : value))
    const want = exact({ ...op, inputs: { x: { shape: [1, 1, 7, k], values } } })
    expectSame(
      'the product',
      output,
      want.map((value, i) => (isSpoilt(Math.floor(i / 9)) ? NaN : value)),
    )
  })

  test('NaN in a block spoils no other block of the row', async () => {
    const x = noise(7 * 12, 1)
    x[2 * 12 + 5] = NaN
    const op = blockProblem({ rows: 7, blocks: 3, k: 4, n: 9, x })
    const { output } = await runOp(create, op)
    const values = x.map((value) => (Number.isNaN(value) ? 0 : value))
    const want = exact({ ...op, inputs: { x: { shape: [1, 1, 7, 12], values } } })
    const isSpoilt = (i: number) => Math.floor(i / 9) === 2 * 3 + 1
    expectSame(
      'the product',
      output,
      want.map((value, i) => (isSpoilt(i) ? NaN : value)),
    )
  })

  test('with an activation', async () => {
    const plain = problem({ rows: 7, k: 12, n: 17, bias: true })
    const gelu = problem({ rows: 7, k: 12, n: 17, bias: true, activation: 'gelu' })
    const [before, after] = [
      (await runOp(create, plain)).output,
      (await runOp(create, gelu)).output,
    ]
    before.forEach((z, i) =>
      expect(after[i]).toBeCloseTo(
        0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
        5,
      ),
    )
  })
})

describe.each(models)('$name', async ({ name, given }) => {
  const video = Uint8Array.from((await Goldens.open(`${name}_io.npz`)).get('video').values)
  const logitsOf = async (
    create: (typeof cpu)[number]['create'],
    dtype: 'f32' | 'int8',
    splits: readonly number[] = [4],
  ) => {
    const model = await loadModel(create, name, given, dtype)
    const session = model.session({ b: 1, recent: 'all', encoded: false })
    const size = 3 * model.config.imageSize[0] * model.config.imageSize[1]
    const logits: number[] = []
    for (const t of splits)
      logits.push(
        ...(
          await session.advance(video.subarray(session.frame * size, (session.frame + t) * size), t)
        ).outputs['logits']!,
      )
    return Float32Array.from(logits)
  }
  const want = await logitsOf(cpu[0]!.create, 'int8')

  for (const backend of [...cpu, ...threadedBackends])
    if (!backend.name.includes('relaxed'))
      test(`bit-identical on ${backend.name}, for any split into chunks`, {
        tags: name === 'small' ? tagsOf(backend) : ['slow'],
      }, async () => {
        expectSame('logits', await logitsOf(backend.create, 'int8', [1, 2, 1]), want)
      })

  test('close to float32', async () => {
    const exact = await logitsOf(cpu[0]!.create, 'f32')
    const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error =
      exact.reduce((most, value, index) => Math.max(most, Math.abs(value - want[index]!)), 0) /
      largest
    console.log(`${name}: int8 costs ${error.toExponential(1)} of the largest logit`)
    expect(error).toBeGreaterThan(0)
    expect(error).toBeLessThan(0.1)
  })
})
