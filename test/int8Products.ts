/** Products with int8 kernels: cases, and their exact results. */
import { quantize } from '../src/base/int8.ts'
import { type Activation, scalesOf } from '../src/program/program.ts'
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

/**
 * Returns the exact result of every build without an activation: the steps of the kernels with the
 * same rounding.
 */
export function exact({ inputs, weights }: OpCase): Float32Array {
  const { shape, values: x } = inputs['x']!
  const add = inputs['add']?.values
  const k = shape[3]!
  const rows = x.length / k
  const kernel = weights!['kernel']!
  const [scales, bias] = [weights![scalesOf('kernel')]!.values, weights!['bias']?.values]
  const n = kernel.columns
  const out = new Float32Array(rows * n)
  for (let i = 0; i < rows; i++) {
    const row = [...x.subarray(i * k, (i + 1) * k)]
    const largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const inverse = largest > Math.fround(1e-36) ? Math.fround(127 / largest) : 0
    const whole = row.map((value) => nearestEven(Math.fround(value * inverse)) || 0)
    for (let j = 0; j < n; j++) {
      const sum = whole.reduce((total, value, l) => total + value * kernel.values[l * n + j]!, 0)
      const factor = Math.fround(Math.fround(largest / 127) * scales[j]!)
      const biased = Math.fround(Math.fround(Math.fround(sum) * factor) + (bias?.[j] ?? 0))
      out[i * n + j] = add ? Math.fround(biased + add[i * n + j]!) : biased
    }
  }
  return out
}

function nearestEven(value: number): number {
  const near = Math.round(value)
  return Math.abs(value % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near
}
