/**
 * Trains the built-in model on streams: the loss is the cross-entropy of the mean over 8 frames,
 * as the model is used.
 */
import type { Build } from '../../src/backend/wasm/builds.ts'
import { type Config, encoderOf } from '../../src/model/config.ts'
import { recordEncoder, recordTokens } from '../../src/model/encoder/graph.ts'
import {
  readBy,
  recordFrameFeatures,
  recordHeadInput,
} from '../../src/model/heads/classification.ts'
import { dense } from '../../src/model/layers.ts'
import { parametersOf, weightTable } from '../../src/model/weights.ts'
import type { Program } from '../../src/program/program.ts'
import { openTrainingCpu } from '../../src/train/cpu.ts'
import { Optimizer, type UpdateResult } from '../../src/train/optimizer.ts'
import type { OptimizerOptions } from '../../src/train/options.ts'
import { recorderOf, recordUpdate, type Use } from '../../src/train/update.ts'
import { withAxes } from '../../src/train/views.ts'
import { type Parameters, type Training, trainingWeights } from '../../src/train/weights.ts'
import { LABELS } from './camera.ts'
import type { Stream } from './stream.ts'

/** Frames whose mean is judged. */
const WINDOW = 8
/** Weight of the first frame of a stream in the loss. It shows no motion: the target is static. */
const FIRST = 0.2
/** Part of each target that is spread over all classes. */
const SMOOTHING = 0.01

/** Result of a step. */
export interface StepResult extends UpdateResult {
  /** Share of the windows that are right before the update. */
  readonly accuracy: number
}

/** A model that learns from streams. */
export class StreamLearner {
  readonly #config: Config
  readonly #optimizer: Optimizer

  private constructor(config: Config, optimizer: Optimizer) {
    this.#config = config
    this.#optimizer = optimizer
  }

  /** @param build of the kernels; 'simd' is the deterministic one */
  static async create(
    config: Config,
    parameters: Parameters,
    options: OptimizerOptions & { readonly build?: Build },
  ): Promise<StreamLearner> {
    const { build = 'simd', ...rest } = options
    const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
    const open: OptimizerOptions['open'] = (all) => openTrainingCpu(all, build, rest)
    return new StreamLearner(config, await Optimizer.open(weights, parameters, { ...rest, open }))
  }

  /** Makes one update on streams of the same number of frames, a multiple of 8. */
  async step(streams: readonly Stream[]): Promise<StepResult> {
    const [b, t] = [streams.length, streams[0]!.labels.length]
    const size = streams[0]!.frames.length
    const pixels = new Uint8Array(b * size)
    for (const [i, { frames }] of streams.entries()) pixels.set(frames, i * size)
    const windows = streams.flatMap(labelsOfWindows)
    const judged = windows.filter((label) => label !== null).length
    const c = LABELS.length
    const targets = new Float32Array(windows.length * c)
    for (const [i, label] of windows.entries())
      if (label !== null) setTarget(targets.subarray(i * c, (i + 1) * c), label, 1 / judged)
    const firsts = new Float32Array(b * t * c)
    for (let i = 0; i < b; i++) setTarget(firsts.subarray(i * t * c, (i * t + 1) * c), 0, FIRST / b)
    const part = {
      ...{ key: `stream ${b} ${t}`, size: { b, t } },
      record: (use: Use) => recordStreamStep(this.#config, this.#optimizer.training, b, t, use),
      inputs: { pixels, targets, firsts },
    }
    const { result, outputs } = await this.#optimizer.update(() => [part])
    const logits = outputs[0]!['logits']!
    const right = windows.filter(
      (label, i) => label !== null && indexOfLargest(logits.subarray(i * c, (i + 1) * c)) === label,
    ).length
    return { ...result, accuracy: right / judged }
  }

  /** Returns the values of all parameters, by their official names. */
  parameters(): Promise<Map<string, Float32Array>> {
    return this.#optimizer.parameters()
  }

  /** Frees the memory. */
  dispose(): Promise<void> {
    return this.#optimizer.dispose()
  }
}

/** Returns the class of each window of 8 frames, or null if the motion changes in it. */
function labelsOfWindows({ labels, ages }: Stream): (number | null)[] {
  return Array.from({ length: labels.length / WINDOW }, (_, window) => {
    const first = window * WINDOW
    const last = first + WINDOW - 1
    const whole = ages[last]! - ages[first]! === last - first && (ages[first]! > 0 || first === 0)
    return whole ? labels[first]! : null
  })
}

function setTarget(row: Float32Array, label: number, weight: number): void {
  row.fill((SMOOTHING / row.length) * weight)
  row[label]! += (1 - SMOOTHING) * weight
}

/** Returns the position of the largest value. */
function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0)
}

/**
 * Records a step on b streams of t frames. Inputs: `pixels` [b, t, H, W, 3], `targets` [b·t/8, c]
 * and `firsts` [b·t, c], the targets of single frames: 0 but for the first ones. Outputs: `logits`
 * [b·t/8, c], `loss`.
 */
function recordStreamStep(
  config: Config,
  training: Training,
  b: number,
  t: number,
  use: Use,
): Program {
  const ops = recorderOf(training, b, t)
  const encoder = encoderOf(config)
  const [height, width] = config.imageSize
  const windows = (b * t) / WINDOW
  const targets = ops.input('targets', [windows, config.numClasses])
  const firsts = ops.input('firsts', [b * t, config.numClasses])
  const tokens = recordTokens(ops, encoder, ops.pixels(height, width, 'u8'))
  const encoded = recordEncoder(ops, encoder, tokens, readBy(ops, config))
  const features = recordFrameFeatures(ops, recordHeadInput(ops, config, encoded))
  const means = ops.pool('pre_logits', withAxes(features, [b, t / WINDOW, WINDOW]))
  const logits = withAxes(dense(ops, 'logits', means, 'decoder/cls_head'), [windows])
  const frames = withAxes(dense(ops, 'frame_logits', features, 'decoder/cls_head'), [b * t])
  const { loss, dlogits } = ops.crossEntropy('loss', logits, targets)
  const { dlogits: dfirst } = ops.crossEntropy('first/loss', frames, firsts)
  const seeds = [
    { of: logits, gradient: dlogits },
    { of: frames, gradient: dfirst },
  ]
  return ops.end({ logits, loss, ...recordUpdate(ops, training, seeds, loss, use) })
}
