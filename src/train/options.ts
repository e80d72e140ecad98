import type { Backend } from '../backend/backend.ts'
import type { CpuOptions } from '../backend/wasm/open.ts'
import { describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import type { Weight } from '../program/program.ts'
import { type AdamOptions, ratesOf } from './adam.ts'
import { learningRate, type Schedule } from './schedule.ts'

/** Options of every trainer. */
export interface OptimizerOptions
  extends AdamOptions,
    Pick<CpuOptions, 'threads' | 'workerUrl' | 'wasmModule'> {
  /** The learning rate over the steps. */
  readonly schedule: Schedule
  /**
   * Which parameters are trained, by their official names; all by default. Example, the head alone:
   * `(name) => name.startsWith('decoder/')`.
   */
  readonly trains?: (name: string) => boolean
  /**
   * Gradient checkpointing. 'none', the default, keeps every tensor of the forward pass that a
   * gradient reads. 'layer' keeps the input of each block, and computes the block again for its
   * gradients. It takes a third more time and a fraction of the memory. The results have the same
   * bits.
   */
  readonly recompute?: 'none' | 'layer'
  /** Opens the device with some weights; the CPU by default. */
  readonly open?: (weights: readonly Weight[]) => Promise<Backend>
}

/** Options of a trainer. */
export interface TrainerOptions extends OptimizerOptions {
  /** Part of each target that is spread over all classes, from 0 to below 1; 0.1 by default. */
  readonly labelSmoothing?: number
}

const OPTIONS: OptionNames<TrainerOptions> = {
  schedule: 1,
  trains: 1,
  labelSmoothing: 1,
  recompute: 1,
  open: 1,
  beta1: 1,
  beta2: 1,
  epsilon: 1,
  weightDecay: 1,
  clip: 1,
  threads: 1,
  workerUrl: 1,
  wasmModule: 1,
}

/** @throws TrecvitError naming the option, what was expected and what came */
export function checkTrainerOptions(options: TrainerOptions): void {
  checkOptions('Trainer', options, OPTIONS)
  ratesOf(options, learningRate(options.schedule, 0), 1)
  const { labelSmoothing, recompute = 'none' } = options
  if (recompute !== 'none' && recompute !== 'layer')
    throw new TrecvitError(`"recompute" expected 'none' or 'layer', got ${describe(recompute)}`)
  if (labelSmoothing !== undefined && !(labelSmoothing >= 0 && labelSmoothing < 1))
    throw new TrecvitError(
      `"labelSmoothing" expected a number from 0 to below 1, got ${labelSmoothing}`,
    )
}
