/** The operations of training as their formulas say, in float64 (test/reference.ts). */
import type { StepOf } from '../../src/program/program.ts'
import type { Memory } from '../reference.ts'

const EPSILON = 1e-6

/** By name; test/reference.ts takes them in. */
export const training = { rmsNormGradient, sumRows }

/** dx = (q − x̂·mean(q·x̂)) / r, q = dy·(1 + scale); dscale[i] = Σ dy·x̂ over the rows of a part */
function rmsNormGradient(
  { outputs, inputs, weights, sizes }: StepOf<'rmsNormGradient'>,
  memory: Memory,
): void {
  const scale = memory.weight(weights.scale)
  const dx = memory.rows(outputs.dx)
  const dscale = memory.rows(outputs.dscale)
  for (const part of dscale) part.fill(0)
  const dy = memory.rows(inputs.dy)
  memory.rows(inputs.x).forEach((x, row) => {
    const mean = (of: (i: number) => number) => x.reduce((sum, _, i) => sum + of(i), 0) / x.length
    const rms = Math.sqrt(mean((i) => x[i]! ** 2) + EPSILON)
    const q = (i: number) => dy[row]![i]! * (1 + scale[i]!)
    const product = mean((i) => (q(i) * x[i]!) / rms)
    const part = dscale[Math.floor(row / sizes['part']!)]!
    for (let i = 0; i < x.length; i++) {
      dx[row]![i] = (q(i) - (x[i]! / rms) * product) / rms
      part[i]! += (dy[row]![i]! * x[i]!) / rms
    }
  })
}

/** out = Σ x over the rows */
function sumRows({ outputs, inputs }: StepOf<'sumRows'>, memory: Memory): void {
  const [out] = memory.rows(outputs.out)
  out!.fill(0)
  for (const x of memory.rows(inputs.x)) x.forEach((value, i) => (out![i]! += value))
}
