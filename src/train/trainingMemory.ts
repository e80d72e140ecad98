import { cpuCapabilities } from '../backend/wasm/capabilities.ts'
import { type Config, encoderOf } from '../model/config.ts'
import { parametersOf, weightTable } from '../model/weights.ts'
import type { Program } from '../program/program.ts'
import { bytesOfProgram, bytesOfWeights } from './memory.ts'
import type { TrainerOptions } from './options.ts'
import { type BatchSize, recordClassifierStep, recordHeadInputs } from './program.ts'
import { recordSummedUpdate } from './update.ts'
import { deviceWeights, isTrained, trainingWeights } from './weights.ts'

/** Memory that a `Trainer` takes on the CPU, in bytes. */
export interface TrainingMemory {
  /** The weights of the model. */
  readonly weights: number
  /** Moments, sums of gradients and averages of the trained weights. */
  readonly optimizer: number
  /** Activations, gradients and states of a step. */
  readonly step: number
  /** All of these. */
  readonly total: number
}

/**
 * Computes the memory of a `Trainer` before it is made, from its programs. Clips, and the engine
 * itself, are not included.
 * @param size clips of a batch, and frames of a clip
 * @throws TrecvitError if the configuration or an option is wrong
 * @example
 * const { total } = trainingMemory(config, { b: 4, t: 16 }, { recompute: 'layer' })
 */
export function trainingMemory(
  config: Config,
  { b, t }: Pick<BatchSize, 'b' | 't'>,
  options: Pick<TrainerOptions, 'trains' | 'recompute' | 'microBatch' | 'ema' | 'threads'> = {},
): TrainingMemory {
  const { trains = () => true, recompute = 'none', microBatch = b, ema, threads } = options
  const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
  const trained = weights.copied.filter((weight) => isTrained(weight, trains))
  const training = { config, weights, trained, recompute, averages: ema !== undefined }
  const part = { b: Math.min(b, microBatch), t }
  const use = part.b < b ? 'add' : 'update'
  const programs: Program[] = trained.every(({ name }) => name.startsWith('decoder/'))
    ? [
        recordHeadInputs(training, { b, t: t % 2 ? 1 : 2 }),
        recordClassifierStep(training, part, 'head_input', use),
      ]
    : [recordClassifierStep(training, part, 'pixels', use)]
  if (use === 'add') programs.push(recordSummedUpdate(training))
  const target = {
    backend: 'wasm',
    threads: threads ?? Math.min(8, cpuCapabilities().threads),
  } as const
  const model = bytesOfWeights([...weights.copied, ...weights.derived])
  const optimizer = bytesOfWeights(deviceWeights(training)) - model
  const step = programs.reduce((sum, program) => sum + bytesOfProgram(program, target), 0)
  return { weights: model, optimizer, step, total: model + optimizer + step }
}
