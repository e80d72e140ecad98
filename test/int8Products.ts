/** Products with int8 kernels: cases, and their exact results. */
import { quantize } from '../src/base/int8.ts'
import { type Activation, scalesOf, sizeOf } from '../src/program/program.ts'
import { noise, type OpCase, rowsWeight } from './ops.ts'

interface Problem {
  /** Frames of `rows` rows, 1 by default. */
  readonly t?: number
  readonly rows: number
  readonly k: number
  readonly n: number
  readonly x?: Float32Array
  readonly bias?: boolean
  readonly activation?: Activation
  /** Whether another tensor is added. */
  readonly add?: boolean
}

export function problem({
  t = 1,
  rows,
  k,
  n,
  x = noise(t * rows * k, 1),
  bias = false,
  activation = 'none',
  add = false,
}: Problem): OpCase {
  const { values, scales } = quantize(noise(k * n, 2), n)
  return {
    name: [
      `${rows}×${k}×${n}`,
      t > 1 && `${t} frames`,
      bias && 'bias',
      activation !== 'none' && activation,
      add && 'add',
    ]
      .filter(Boolean)
      .join(', '),
    t,
    inputs: {
      x: { shape: [1, t, rows, k], values: x },
      ...(add && { add: { shape: [1, t, rows, n], values: noise(t * rows * n, 4) } }),
    },
    weights: {
      kernel: { kind: 'int8', blocks: 1, rows: k, columns: n, values },
      [scalesOf('kernel')]: rowsWeight(1, n, scales),
      ...(bias && { bias: rowsWeight(1, n, noise(n, 3)) }),
    },
    record: (ops, inputs) =>
      ops.linear('op', inputs['x']!, 'kernel', {
        activation,
        ...(bias && { bias: 'bias' }),
        ...(add && { add: inputs['add']! }),
      }),
    bound: () => [],
  }
}

/** Returns a block-diagonal product: its x has `blocks`·k columns, its result `blocks`·n. */
export function blockProblem({
  t = 1,
  rows,
  blocks,
  k,
  n,
  x = noise(t * rows * blocks * k, 1),
}: Pick<Problem, 't' | 'rows' | 'k' | 'n' | 'x'> & { readonly blocks: number }): OpCase {
  const { values, scales } = quantize(noise(blocks * k * n, 2), n, blocks)
  return {
    name: [`${rows}×${blocks} blocks of ${k}×${n}`, t > 1 && `${t} frames`]
      .filter(Boolean)
      .join(', '),
    t,
    inputs: { x: { shape: [1, t, rows, blocks * k], values: x } },
    weights: {
      kernel: { kind: 'int8', blocks, rows: k, columns: n, values },
      [scalesOf('kernel')]: { kind: 'rows', blocks, rows: 1, columns: n, values: scales },
      bias: { kind: 'rows', blocks, rows: 1, columns: n, values: noise(blocks * n, 3) },
    },
    record: (ops, inputs) => ops.blockLinear('op', inputs['x']!, 'kernel', 'bias'),
    bound: () => [],
  }
}

/** Sizes of a norm and a product. */
interface NormProblem {
  readonly norm: 'rmsNorm' | 'layerNorm'
  /** Frames of `rows` rows, 1 by default. */
  readonly t?: number
  readonly rows: number
  readonly d: number
  readonly n: number
  /** A column that has the largest values; any by default. */
  readonly largest?: number
  /** The first token of a frame that the product reads, and their number; all by default. */
  readonly tokens?: readonly [from: number, count: number]
}

/**
 * Returns a norm, a product of all its rows, and a product of some of them. No value is so near to
 * a half that a rounding error of the norm changes its integer.
 * @returns the case, and a product that has its exact result
 */
export function normProblem(p: NormProblem): { op: OpCase; product: OpCase } {
  const { norm, t = 1, rows, d, n, largest, tokens } = p
  const [from, count] = tokens ?? [0, rows]
  const isCentred = norm === 'layerNorm'
  const scale = noise(d, 3).map((value, column) => (column === largest ? 5 : value))
  const shift = clearOf((seed) => noise(d, seed))
  const normalise = (row: Float32Array) => {
    const mean = isCentred ? row.reduce((sum, value) => sum + value, 0) / d : 0
    const square = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d
    return row.map((value, column) => {
      const factor = (isCentred ? scale[column]! : 1 + scale[column]!) / Math.sqrt(square + 1e-6)
      return (value - mean) * factor + (isCentred ? shift[column]! : 0)
    })
  }
  const x = Array.from({ length: t * rows }, (_, row) => {
    // Small rows, where 1e-6 matters, larger ones, and zeros.
    const size = row % 7 === 2 ? 0 : 10 ** ((row % 5) - 3)
    const draw = (seed: number) => noise(d, 1000 * row + seed, size).map((one) => one + size / 2)
    return clearOf(draw, normalise)
  })
  const read = x.filter((_, row) => row % rows >= from && row % rows < from + count)
  const normalised = Float32Array.from(read.flatMap((row) => [...normalise(row)]))
  const product = problem({ t, rows: count, k: d, n, bias: true, x: normalised })
  const parts = [
    ...[norm, product.name],
    tokens && `tokens from ${from} of ${rows}`,
    largest !== undefined && `largest ${largest}`,
  ]
  const op: OpCase = {
    ...product,
    name: parts.filter(Boolean).join(', '),
    inputs: {
      x: { shape: [1, t, rows, d], values: Float32Array.from(x.flatMap((row) => [...row])) },
    },
    weights: {
      ...product.weights,
      scale: rowsWeight(1, d, scale),
      shift: rowsWeight(1, d, shift),
    },
    record(ops, inputs) {
      const z = isCentred
        ? ops.layerNorm('norm', inputs['x']!, 'scale', 'shift')
        : ops.rmsNorm('norm', inputs['x']!, 'scale')
      if (!tokens) return product.record(ops, { x: z })
      ops.linear('all', z, 'kernel')
      return product.record(ops, { x: ops.tokens(z, from, count) })
    },
  }
  return { op, product }
}

/** Returns the first of the drawn rows of which no value, as it is quantised, is near to a half. */
export function clearOf(
  draw: (seed: number) => Float32Array,
  quantised = (row: Float32Array) => row,
): Float32Array {
  for (let seed = 1; ; seed++) {
    const row = draw(seed)
    const values = quantised(row)
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const isClear = (value: number) =>
      Math.abs((Math.abs((127 * value) / largest) % 1) - 0.5) > 1e-3
    if (!largest || values.every(isClear)) return row
  }
}

/**
 * Returns the exact result of every build without an activation: the steps of the kernels with the
 * same rounding.
 */
export function exact({ inputs, weights }: OpCase): Float32Array {
  const { shape, values: x } = inputs['x']!
  const add = inputs['add']?.values
  const kernel = weights!['kernel']!
  const [scales, bias] = [weights![scalesOf('kernel')]!.values, weights!['bias']?.values]
  const { blocks, rows: k, columns: n } = kernel
  // Each block of a row has a scale and a kernel of its own.
  const rows = sizeOf(shape) / k
  const out = new Float32Array(rows * n)
  for (let i = 0; i < rows; i++) {
    const block = i % blocks
    const row = [...x.subarray(i * k, (i + 1) * k)]
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const inverse = largest > Math.fround(1e-36) ? Math.fround(127 / largest) : 0
    const whole = row.map((value) => nearestEven(Math.fround(value * inverse)) || 0)
    for (let j = 0; j < n; j++) {
      const sum = whole.reduce(
        (total, value, l) => total + value * kernel.values[(block * k + l) * n + j]!,
        0,
      )
      const factor = Math.fround(Math.fround(largest / 127) * scales[block * n + j]!)
      const biased = Math.fround(
        Math.fround(Math.fround(sum) * factor) + (bias?.[block * n + j] ?? 0),
      )
      out[i * n + j] = add ? Math.fround(biased + add[i * n + j]!) : biased
    }
  }
  return out
}

function nearestEven(value: number): number {
  const near = Math.round(value)
  return Math.abs(value % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near
}
