import type { Backend } from '../backend/backend.ts'
import type { CpuOptions } from '../backend/wasm/open.ts'
import { checkCount, describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import type { Weight } from '../program/program.ts'
import { type AdamOptions, ratesOf } from './adam.ts'
import { learningRate, type Schedule } from './schedule.ts'

/** Options of every trainer. */
export interface OptimizerOptions
  extends AdamOptions,
    Pick<CpuOptions, 'threads' | 'workerUrl' | 'wasmModule' | 'experimentalRevectorize'> {
  /**
   * Whether the CPU uses only kernels whose results are bit-identical in every runtime; true by
   * default. With false it may round a multiply-add once instead of twice, which is faster.
   */
  readonly deterministic?: boolean
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
  /**
   * Clips that are computed at once. The gradients of larger batches are added up over parts of
   * this size: the memory is that of a part. Results differ from those of the whole batch by
   * rounding. By default the whole batch is computed at once.
   */
  readonly microBatch?: number
  /**
   * Decay of an exponential moving average of the weights, from 0 to below 1, for example 0.999.
   * After each update: average = ema·average + (1 − ema)·weights. What a trainer answers and
   * exports comes from the averages then. By default there are none.
   */
  readonly ema?: number
  /**
   * Largest memory of weights, moments and activations, in bytes. It is known before it is
   * allocated: a step that would need more is refused, with what would fit. By default the 4 GiB
   * of WebAssembly, or with `open` no limit.
   */
  readonly maxBytes?: number
  /** Opens the device with some weights; the CPU by default. */
  readonly open?: (weights: readonly Weight[]) => Promise<Backend>
}

/** Options of a trainer. */
export interface TrainerOptions extends OptimizerOptions {
  /** Part of each target that is spread over all classes, from 0 to below 1; 0.1 by default. */
  readonly labelSmoothing?: number
}

/** Options of a trainer of a masked auto-encoder. */
export interface MaskedTrainerOptions extends OptimizerOptions {
  /** Of the masks, an integer from 0 to 2³² − 1; 1 by default. */
  readonly seed?: number
  /** The patches that the loss is the mean over: all by default, or those that are hidden. */
  readonly loss?: 'all' | 'hidden'
}

const OPTIMIZER: OptionNames<OptimizerOptions> = {
  schedule: 1,
  trains: 1,
  recompute: 1,
  microBatch: 1,
  ema: 1,
  maxBytes: 1,
  deterministic: 1,
  experimentalRevectorize: 1,
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
const TRAINER: OptionNames<TrainerOptions> = { ...OPTIMIZER, labelSmoothing: 1 }
const MASKED: OptionNames<MaskedTrainerOptions> = { ...OPTIMIZER, seed: 1, loss: 1 }

/** @throws TrecvitError naming the option, what was expected and what came */
export function checkTrainerOptions(options: TrainerOptions): void {
  checkOptions('Trainer', options, TRAINER)
  checkOptimizerOptions(options)
  const { labelSmoothing } = options
  if (labelSmoothing !== undefined && !(labelSmoothing >= 0 && labelSmoothing < 1))
    throw new TrecvitError(
      `"labelSmoothing" expected a number from 0 to below 1, got ${labelSmoothing}`,
    )
}

/** @throws TrecvitError naming the option, what was expected and what came */
export function checkMaskedOptions(options: MaskedTrainerOptions): void {
  checkOptions('MaskedTrainer', options, MASKED)
  checkOptimizerOptions(options)
  const { seed = 1, loss = 'all' } = options
  if (!(Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff))
    throw new TrecvitError(`"seed" expected an integer from 0 to 4294967295, got ${seed}`)
  if (loss !== 'all' && loss !== 'hidden')
    throw new TrecvitError(`"loss" expected 'all' or 'hidden', got ${describe(loss)}`)
}

function checkOptimizerOptions(options: OptimizerOptions): void {
  ratesOf(options, learningRate(options.schedule, 0), 1)
  const { recompute = 'none', microBatch = 1, ema = 0, maxBytes = 1 } = options
  checkCount('microBatch', microBatch)
  if (!(maxBytes > 0))
    throw new TrecvitError(`"maxBytes" expected a positive number, got ${describe(maxBytes)}`)
  if (!(ema >= 0 && ema < 1))
    throw new TrecvitError(`"ema" expected a number from 0 to below 1, got ${describe(ema)}`)
  if (recompute !== 'none' && recompute !== 'layer')
    throw new TrecvitError(`"recompute" expected 'none' or 'layer', got ${describe(recompute)}`)
}
