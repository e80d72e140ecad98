/** Cases for the gradients of the epilogue of linear, and error bounds of slopes. */
import type { Activation } from '../../src/program/program.ts'
import type { BackendUnderTest } from '../backends.ts'
import { noise, type OpCase } from '../ops.ts'

/** The epilogue of a product with b·t·n rows. */
export interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  readonly rows: number
  readonly n: number
  readonly activation: Activation
  readonly activated?: number
  readonly at?: Float32Array
  readonly dy?: Float32Array
}

export const input = ({ b = 1, t = 1, rows, n }: Problem, values: Float32Array) => ({
  shape: [b, t, rows, n],
  values,
})

/** Returns the largest error of a slope f'(z). */
export function slopeError(activation: Activation, at: number, { unit }: BackendUnderTest): number {
  if (activation === 'none') return 0
  // Two differences and a product. 1 − y is exact if y is near 1.
  if (activation === 'tanh') return 3 * unit * Math.abs((1 - at) * (1 + at))
  const z = Math.max(-10, Math.min(10, at))
  const argument = Math.abs(2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))
  const e = Math.exp(-2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))
  const sigma = 1 / (1 + e)
  const rest = e * sigma
  const growth = Math.abs(2 * Math.sqrt(2 / Math.PI) * z * (1 + 0.134145 * z ** 2))
  // e: its argument has 4 roundings and two constants, and it has 4 units. An error of e changes σ
  // by the factor 1 − σ, and 1 − σ by the factor σ. Then σ, its product with e, growth, two
  // products and a sum.
  const ofE = (6 * argument + 4) * unit
  const factor = 1 + rest * growth
  return (
    sigma * (factor * (rest * ofE + 4 * unit) + rest * growth * (sigma * ofE + 12 * unit)) +
    // Remaining slope at the clamp ±10.
    1e-34
  )
}

export function nameOf({ name, b = 1, t = 1, rows, n, activation, activated }: Problem): string {
  const parts = [name, activation, `${b * t > 1 ? `${b}×${t}×` : ''}${rows}×${n}`]
  return [...parts, activated !== undefined && `${activated} activated`].filter(Boolean).join(', ')
}

const activations = ['none', 'gelu', 'tanh'] as const
/** Arguments of gelu: its slope changes near 0 and is zero beyond ±10. */
const line = Float32Array.of(
  ...[0, -0, 1e-45, -1e-39, 1e-6, -1e-6, 0.3, -0.75, -0.7517916, 1, -1, 2, -2, 4, -4, 6, -6, 9.9],
  ...[-9.9, 10.1, -10.1, 13.5, -13.5, 64, -64, 200, -200, 1e6, -1e6, 1e13, -1e13, 1e30, -1e30],
  ...[Infinity, -Infinity, NaN],
)

/** Returns cases of all activations, of all remainders of vectors, and of extreme values. */
export function casesOf(problem: (p: Problem) => OpCase): OpCase[] {
  return [
    ...activations.flatMap((activation) => [
      ...[1, 3, 4, 5, 7, 8, 9, 16, 33].map((n) => problem({ rows: 3, n, activation })),
      problem({ b: 2, t: 3, rows: 7, n: 10, activation }),
    ]),
    problem({ name: 'wide', rows: 500, n: 3, activation: 'gelu', at: noise(1500, 1, 12) }),
    problem({ name: 'extreme', rows: line.length, n: 1, activation: 'gelu', at: line }),
    problem({
      name: 'ends',
      rows: 4,
      n: 1,
      activation: 'tanh',
      at: Float32Array.of(1, -1, 0, NaN),
    }),
  ]
}
