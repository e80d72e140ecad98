/** The programs of training: gradients of a loss, then the update of the weights. */
import { type Config, encoderOf } from '../model/config.ts'
import { recordEncoder, recordTokens } from '../model/encoder/graph.ts'
import { readBy, recordFrameFeatures, recordHeadInput } from '../model/heads/classification.ts'
import { dense } from '../model/layers.ts'
import type { Program, Tensor, Weight } from '../program/program.ts'
import { TrainingRecorder } from './recorder.ts'
import { recorderOf, recordUpdate, type Use } from './update.ts'
import { withAxes } from './views.ts'
import type { Training } from './weights.ts'

/** Size of a batch. */
export interface BatchSize {
  /** Videos. */
  readonly b: number
  /** Frames of each video. */
  readonly t: number
  /** Whether the frames continue videos, from states before them; false by default. */
  readonly continues?: boolean
}

/** What a program reads: the pixels of clips, or what `recordHeadInputs` has computed of them. */
export type ClipInput = 'pixels' | 'head_input'

/** A classifier in training. */
export interface ClassifierTraining extends Training {
  readonly config: Config
}

/**
 * Records a training step of a classifier: the forward pass, cross-entropy, the gradients, and what
 * is done with them.
 *
 * Inputs: `pixels` [b, t, H, W, 3], u8, or `head_input` [b, t, 1, d] from `recordHeadInputs`;
 * `targets` [b, c]: the probabilities that the model should give, times the weight of the video in
 * the loss; and those of `recordUpdate`. Outputs: `logits` [b, c], `loss` [b, 1] for each video,
 * and those of `recordUpdate`.
 */
export function recordClassifierStep(
  training: ClassifierTraining,
  { b, t, continues }: BatchSize,
  from: ClipInput,
  use: Use,
): Program {
  const { config } = training
  const ops = recorderOf(training, b, t)
  const targets = ops.input('targets', [b, config.numClasses])
  const logits = recordLogits(ops, config, from)
  const { loss, dlogits } = ops.crossEntropy('loss', logits, targets)
  const seeds = [{ of: logits, gradient: dlogits }]
  return ops.end({ logits, loss, ...recordUpdate(ops, training, seeds, loss, use, continues) })
}

/**
 * Records the classification of whole clips, with the averages of the weights if there are some.
 * @returns a program with the inputs of `recordClassifierStep` but for targets and rates, and the
 * output `logits` [b, c]
 */
export function recordClassifier(
  training: ClassifierTraining,
  { b, t }: BatchSize,
  from: ClipInput,
): Program {
  const ops = recorderOf(training, b, t, training.averages)
  return ops.end({ logits: recordLogits(ops, training.config, from) })
}

/**
 * Records the input of the head: what a trainer of the head alone computes once for each clip.
 * @returns a program with the input `pixels` and the output `head_input` [b, t, 1, d]
 */
export function recordHeadInputs(training: ClassifierTraining, { b, t }: BatchSize): Program {
  const ops = recorderOf(training, b, t, training.averages)
  return ops.end({ head_input: recordHeadInputOf(ops, training.config) })
}

/** Records a program whose output `values` is a weight [blocks·rows, columns]. */
export function recordValues(weight: Weight): Program {
  const ops = new TrainingRecorder(1, 1, new Map([[weight.name, weight]]))
  return ops.end({ values: ops.weightValues('values', weight.name) })
}

/** Records the encoder and the input of the head [b, t, 1, d]. */
function recordHeadInputOf(ops: TrainingRecorder, config: Config): Tensor {
  const encoder = encoderOf(config)
  const [height, width] = config.imageSize
  const tokens = recordTokens(ops, encoder, ops.pixels(height, width, 'u8'))
  const encoded = recordEncoder(ops, encoder, tokens, readBy(ops, config))
  return recordHeadInput(ops, config, encoded)
}

/** Records the logits of whole clips, [b, c]. */
function recordLogits(ops: TrainingRecorder, config: Config, from: ClipInput): Tensor {
  const { b, t } = ops
  const headInput =
    from === 'pixels'
      ? recordHeadInputOf(ops, config)
      : ops.input('head_input', [b, t, 1, config.width])
  const features = recordFrameFeatures(ops, headInput)
  // A mean over frames is a mean over tokens, with the frames of a video as its tokens.
  const preLogits = ops.pool('pre_logits', withAxes(features, [b, 1, t]))
  return withAxes(dense(ops, 'logits', preLogits, 'decoder/cls_head'), [b])
}
