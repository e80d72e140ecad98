/** Products with float32 or float16 kernels: cases, and the bounds of their results. */

import { f16ToF32, f32ToF16 } from '../src/base/f16.ts'
import type { Activation, Tensor } from '../src/program/program.ts'
import type { BackendUnderTest } from './backends.ts'
import { gamma, noise, type OpCase, rowsWeight, type WeightInput } from './ops.ts'
import { gelu } from './reference.ts'

/** Sizes and parts of a case of `linear`. */
interface LinearProblem {
  readonly name?: string
  readonly rows: number
  readonly k: number
  readonly n: number
  readonly bias?: boolean
  readonly activation?: Activation
  readonly activated?: number
  readonly multiply?: boolean
  readonly add?: boolean
  /** Rows of the table. */
  readonly table?: number
  /** Frames of `rows` rows, 1 by default. */
  readonly t?: number
  /** Whether float16 represents the kernel exactly. */
  readonly half?: boolean
  /** Largest value of x. */
  readonly scale?: number
  readonly x?: Float32Array
  readonly kernel?: Float32Array
}

/** Returns a case of `linear`. */
export function linearCase(p: LinearProblem): OpCase {
  const { t = 1, rows, k, n, activation = 'none' } = p
  const { activated = activation === 'none' ? 0 : n } = p
  const x = p.x ?? noise(t * rows * k, 1, p.scale)
  const kernel = p.kernel ?? rounded(noise(k * n, 2), p.half)
  const bias = p.bias ? noise(n, 3) : undefined
  const multiply = p.multiply ? noise(t * rows * n, 4) : undefined
  const add = p.add ? noise(t * rows * n, 5) : undefined
  const table = p.table ? noise(p.table * n, 6) : undefined
  const shape = [1, t, rows, n]
  const parts = [
    t > 1 && `${t} frames`,
    bias && 'bias',
    activation !== 'none' && `${activation} ${activated}`,
    multiply && 'multiply',
    add && 'add',
    table && `table ${p.table}`,
  ]
  return {
    name: [p.name, `${rows}×${k}×${n}`, ...parts].filter(Boolean).join(', '),
    t,
    inputs: {
      x: { shape: [1, t, rows, k], values: x },
      ...(multiply && { multiply: { shape, values: multiply } }),
      ...(add && { add: { shape, values: add } }),
    },
    weights: {
      kernel: matrix(k, n, kernel),
      ...(bias && { bias: rowsWeight(1, n, bias) }),
      ...(table && { table: rowsWeight(p.table!, n, table) }),
    },
    record: (ops, inputs) =>
      ops.linear('op', inputs['x'] as Tensor, 'kernel', {
        activation,
        activated,
        ...(bias && { bias: 'bias' }),
        ...(table && { table: 'table' }),
        ...(multiply && { multiply: inputs['multiply'] as Tensor }),
        ...(add && { add: inputs['add'] as Tensor }),
      }),
    // The error of each element: that of the sum, then what each later operation adds or
    // multiplies.
    bound: (precision, want) =>
      want.map((_, at) => {
        const { unit } = precision
        const [i, j] = [Math.floor(at / n), at % n]
        let z = bias?.[j] ?? 0
        const size = { terms: Math.abs(z), products: 0, x: 0, kernel: 0 }
        for (let l = 0; l < k; l++) {
          z += x[i * k + l]! * kernel[l * n + j]!
          addTo(size, x[i * k + l]!, kernel[l * n + j]!)
        }
        let error = errorOfSum(k, size, precision)
        if (j < activated) [z, error] = activate(activation, z, error, unit)
        if (multiply) {
          z *= multiply[at]!
          error = error * Math.abs(multiply[at]!) + unit * Math.abs(z)
        }
        for (const term of [add?.[at], table?.[(i % (p.table ?? 1)) * n + j]]) {
          if (term === undefined) continue
          z += term
          error += unit * (Math.abs(z) + error)
        }
        return error
      }),
  }
}

/** Sums of the absolute values of all terms, of the products among them, and of both factors. */
interface Size {
  terms: number
  products: number
  x: number
  kernel: number
}

function addTo(size: Size, x: number, kernel: number): void {
  size.terms += Math.abs(x * kernel)
  size.products += Math.abs(x * kernel)
  size.x += Math.abs(x)
  size.kernel += Math.abs(kernel)
}

/** Returns the error of a sum of k products and a bias, of numbers that may be rounded before. */
function errorOfSum(
  k: number,
  { terms, products, x, kernel }: Size,
  precision: BackendUnderTest,
): number {
  const { rounding } = precision
  const error = rounding
    ? rounding.relative * products + rounding.x * kernel + rounding.kernel * x
    : 0
  return gamma(k + 1, precision) * (terms + error) + k * precision.smallest + error
}

export const rounded = (values: Float32Array, half = false): Float32Array =>
  half ? values.map((value) => f16ToF32(f32ToF16(value))) : values

/**
 * Returns f(z) and its error. The slope of gelu is at most 1.13, that of tanh 1. In gelu the
 * argument of the exponential has 7 roundings and the exponential 4 units; a sum and a quotient
 * follow. The exponential ends at the smallest normal number, and gelu at x = −64. tanh has 6
 * units.
 */
export function activate(
  activation: Activation,
  z: number,
  error: number,
  unit: number,
): [number, number] {
  if (activation === 'tanh') return [Math.tanh(z), error + 7 * unit * Math.abs(Math.tanh(z))]
  const argument = 2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)
  return [
    gelu(z),
    1.13 * error +
      (gelu(z) && (7 * Math.abs(argument) + 7) * unit * Math.abs(gelu(z))) +
      Math.min(Math.abs(z), 64) * 2 ** -126,
  ]
}

/** Returns a weight of one block of kind `matrix`. */
export function matrix(rows: number, columns: number, values: Float32Array): WeightInput {
  return { kind: 'matrix', blocks: 1, rows, columns, values }
}

/** Sizes and values of a case of `blockLinear`. */
interface BlockProblem {
  readonly name?: string
  readonly rows: number
  readonly blocks: number
  readonly k: number
  readonly n: number
  /** Whether float16 represents the kernel exactly. */
  readonly half?: boolean
  readonly x?: Float32Array
  readonly kernel?: Float32Array
  readonly bias?: Float32Array
}

/** Returns a case of `blockLinear`. */
export function blockLinearCase({ name = '', rows, blocks, k, n, ...given }: BlockProblem): OpCase {
  const {
    x = noise(rows * blocks * k, 1),
    kernel = rounded(noise(blocks * k * n, 2), given.half),
    bias = noise(blocks * n, 3),
  } = given
  return {
    name: `${name} ${rows} rows, ${blocks} blocks of ${k}×${n}`.trim(),
    inputs: { x: { shape: [1, 1, rows, blocks * k], values: x } },
    weights: {
      kernel: { kind: 'matrix', blocks, rows: k, columns: n, values: kernel },
      bias: { kind: 'rows', blocks, rows: 1, columns: n, values: bias },
    },
    record: (ops, inputs) => ops.blockLinear('op', inputs['x']!, 'kernel', 'bias'),
    // A sum of k products, then a bias.
    bound: (precision, want) =>
      want.map((_, at) => {
        const [i, q, o] = [Math.floor(at / (blocks * n)), Math.floor(at / n) % blocks, at % n]
        const size = { terms: Math.abs(bias[q * n + o]!), products: 0, x: 0, kernel: 0 }
        for (let l = 0; l < k; l++)
          addTo(size, x[(i * blocks + q) * k + l]!, kernel[(q * k + l) * n + o]!)
        return errorOfSum(k, size, precision)
      }),
  }
}
