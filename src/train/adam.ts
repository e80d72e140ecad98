import { TrecvitError } from '../base/error.ts'

/** Options of AdamW. The defaults are those of optax and of the published recipes. */
export interface AdamOptions {
  /** Decay of the mean of gradients, from 0 to below 1; 0.9 by default. */
  readonly beta1?: number
  /** Decay of the mean of squared gradients, from 0 to below 1; 0.999 by default. */
  readonly beta2?: number
  /** Added to the root of the second moment; 1e-8 by default. */
  readonly epsilon?: number
  /** Weight decay of kernels, times the learning rate; 0.03 by default. */
  readonly weightDecay?: number
  /** Largest norm of all gradients together, or 0 for any; 1 by default. */
  readonly clip?: number
}

/**
 * Returns the numbers of an update as the operation adamW reads them, with decay (`rates/decayed`)
 * and without (`rates`).
 * @param step number of the update, from 1
 * @throws TrecvitError if an option is out of range
 */
export function ratesOf(
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.03, clip = 1 }: AdamOptions,
  learningRate: number,
  step: number,
): { rates: Float32Array; 'rates/decayed': Float32Array } {
  const check = (name: string, value: number, good: boolean, expected: string) => {
    if (!good) throw new TrecvitError(`"${name}" expected ${expected}, got ${value}`)
  }
  check('beta1', beta1, beta1 >= 0 && beta1 < 1, 'a number from 0 to below 1')
  check('beta2', beta2, beta2 >= 0 && beta2 < 1, 'a number from 0 to below 1')
  check('epsilon', epsilon, epsilon > 0, 'a positive number')
  check('weightDecay', weightDecay, weightDecay >= 0, 'a number of at least 0')
  check('clip', clip, clip >= 0, 'a number of at least 0')
  const numbers = [
    ...[learningRate, beta1, beta2],
    // The kernel reads rounded betas, so the corrections are those of the rounded ones.
    ...[1 / (1 - power(Math.fround(beta1), step)), 1 / (1 - power(Math.fround(beta2), step))],
    epsilon,
  ]
  return {
    rates: Float32Array.of(...numbers, 0, clip),
    'rates/decayed': Float32Array.of(...numbers, weightDecay, clip),
  }
}

/** Returns base^exponent by squaring: Math.pow differs between JavaScript runtimes. */
function power(base: number, exponent: number): number {
  let [result, square] = [1, base]
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2) result *= square
    square *= square
  }
  return result
}
