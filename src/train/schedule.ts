import { TrecvitError } from '../base/error.ts'

/** The learning rate over the steps: a linear warm-up from 0, then half a cosine down to `end`. */
export interface Schedule {
  /** Largest learning rate. */
  readonly peak: number
  /** Steps of the warm-up. */
  readonly warmup: number
  /** All steps, with those of the warm-up. */
  readonly steps: number
  /** Learning rate at the end; 0 by default. */
  readonly end?: number
}

/**
 * Returns the learning rate of an update (optax.warmup_cosine_decay_schedule):
 *
 *     peak·k/warmup                                                    k < warmup
 *     end + (peak − end)·(1 + cos(π·(k − warmup)/(steps − warmup)))/2  after
 *
 * @param k updates before this one; with a warm-up the first update has rate 0
 * @throws TrecvitError if a field is out of range
 * @example
 * learningRate({ peak: 1e-3, warmup: 100, steps: 1000 }, 50) // 5e-4
 */
export function learningRate(schedule: Schedule, k: number): number {
  const { peak, warmup, steps, end = 0 } = schedule
  check('peak', peak, peak > 0)
  check('warmup', warmup, Number.isInteger(warmup) && warmup >= 0)
  check('steps', steps, Number.isInteger(steps) && steps >= warmup && steps > 0)
  check('end', end, end >= 0 && end <= peak)
  if (k < warmup) return (peak * k) / warmup
  const part = Math.min(1, (k - warmup) / Math.max(1, steps - warmup))
  return end + (peak - end) * halfCosine(part)
}

/**
 * (1 + cos πx)/2 for x in 0..1, by sin² of the other half, which vanishes exactly at 1. A series,
 * because Math.cos differs between runtimes.
 */
function halfCosine(x: number): number {
  // cos²(πx/2) = sin²(π(1 − x)/2)
  const angle = (Math.PI / 2) * (1 - x)
  const square = angle * angle
  let sum = 0
  // The last term is below 2⁻⁵³ of the sum for angles up to π/2.
  for (let n = 11; n >= 0; n--) sum = 1 - (square * sum) / ((2 * n + 2) * (2 * n + 3))
  const sine = angle * sum
  return sine * sine
}

function check(name: string, value: number, good: boolean): void {
  if (good) return
  throw new TrecvitError(
    `Schedule "${name}" is ${value}, which is not accepted: the peak is positive, the end from 0 ` +
      'to the peak, warm-up and steps are integers, and the warm-up is no longer than all steps',
  )
}
