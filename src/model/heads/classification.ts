/**
 * The classification head: its tensors, its graph and its answers. Another head would be a file
 * beside this one; ../weights.ts and ../graph.ts join heads to the encoder. [T] is
 * google-deepmind/trecvit trecvit/modules.py.
 */
import { checkCount, type NdArray } from '../../base/array.ts'
import type { Tensor } from '../../program/program.ts'
import type { Recorder } from '../../program/record.ts'
import type { Outputs } from '../../stream/session.ts'
import type { StreamOptions, ToAnswer } from '../../stream/stream.ts'
import { type Config, hasClassHead } from '../config.ts'
import type { Select } from '../encoder/graph.ts'
import { dense } from '../layers.ts'
import type { ReadOut } from '../readout.ts'
import { TensorTable } from '../tensorTable.ts'

/** Returns the tensors of the head; none if the model has no head. */
export function classificationTensors(config: Config): TensorTable {
  const table = new TensorTable('f32')
  if (hasClassHead(config)) {
    const { width, repSize, numClasses } = config
    table.dense('decoder/pre_logits', [width], [repSize])
    table.dense('decoder/cls_head', [repSize], [numClasses])
  }
  return table
}

/** Returns the selection of the tokens that the head reads: the class token; undefined for all. */
export function readBy(ops: Recorder, { poolType }: Config): Select | undefined {
  return poolType === 'tok' ? (tokens) => ops.token(tokens, 0) : undefined
}

/**
 * Records the input of the head: [T] ClassificationDecoder, x[:, 0] or the mean over tokens.
 * @param encoded encoded tokens [b, t, n, d], at least those that the head reads
 * @returns [b, t, 1, d]
 */
export function recordHeadInput(ops: Recorder, config: Config, encoded: Tensor): Tensor {
  return readBy(ops, config)?.(encoded) ?? ops.pool('decoder/head_input', encoded)
}

/**
 * Records the features of each frame: [T] ClassificationDecoder, nn.tanh(pre_logits(x)).
 * @returns [b, t, 1, rep]
 */
export function recordFrameFeatures(ops: Recorder, headInput: Tensor): Tensor {
  return dense(ops, 'decoder/frame_features', headInput, 'decoder/pre_logits', {
    activation: 'tanh',
  })
}

/**
 * Records the head.
 * @param encoded encoded tokens [b, t, n, d], at least those that the head reads
 * @returns outputs by name, [b, t, 1, c] each, for every read-out
 */
export function recordClassification(
  ops: Recorder,
  config: Config,
  encoded: Tensor,
  readOuts: readonly ReadOut[],
): Record<string, Tensor> {
  const features = recordFrameFeatures(ops, recordHeadInput(ops, config, encoded))
  const outputs: Record<string, Tensor> = { frame_features: features }
  for (const { path, over } of readOuts) {
    // mean over t
    const preLogits = ops.average(`${path}pre_logits`, features, over)
    // cls_head, softmax
    const logits = dense(ops, `${path}logits`, preLogits, 'decoder/cls_head')
    const probs = ops.softmax(`${path}probs`, logits)
    outputs[`${path}pre_logits`] = preLogits
    outputs[`${path}logits`] = logits
    outputs[`${path}probs`] = probs
  }
  return outputs
}

/** One class of an answer. */
export interface Class {
  /** Name of the class, or null for a model without labels. */
  readonly label: string | null
  /** Position in the labels and in the last axis of `probs`. */
  readonly index: number
  /** Probability, 0..1. */
  readonly prob: number
}

/** An answer for b videos: logits, probabilities, and the most probable classes. */
export interface Answer {
  /** `[b, c]`, before softmax. */
  readonly logits: NdArray<Float32Array>
  /** `[b, c]`, each row sums to 1. */
  readonly probs: NdArray<Float32Array>
  /** The most probable classes of the first video. */
  readonly top: readonly Class[]
  /** The most probable classes of every video. */
  readonly tops: readonly (readonly Class[])[]
}

/** The answer for a frame. */
export interface FrameAnswer extends Answer {
  /** Index of the frame since the reset, from 0. */
  readonly frame: number
  /**
   * Whether there are fewer frames since the reset than `average` asks for: until a window is
   * full, or a half-life is over. Do not show such an answer.
   */
  readonly partial: boolean
  /**
   * The model's own answer, over all frames since the reset. It is the same as the other fields if
   * the stream averages over 'all'.
   */
  readonly overall: Answer
}

/** Options for a stream that classifies. */
export interface ClassStreamOptions extends StreamOptions {
  /** Number of classes in `top`, 5 by default. */
  readonly topK?: number
}

/** The part of a model that answers need. */
export interface ClassModel {
  readonly config: { readonly numClasses: number }
  readonly labels: readonly string[] | null
}

/**
 * Makes the answers of a stream from its outputs.
 * @throws TrecvitError if topK is not a positive integer
 */
export function classAnswers(
  { config: { numClasses }, labels }: ClassModel,
  topK: number = 5,
): ToAnswer<FrameAnswer> {
  checkCount('topK', topK)
  const answer = (outputs: Outputs, path: string): Answer => {
    const logits = outputs[`${path}logits`]!
    const probs = outputs[`${path}probs`]!
    const shape = [logits.length / numClasses, numClasses]
    const tops = topsOf(probs, numClasses, labels, topK)
    return { logits: { data: logits, shape }, probs: { data: probs, shape }, top: tops[0]!, tops }
  }
  return (outputs, frame, partial) => {
    const overall = answer(outputs, '')
    return {
      ...('recent/logits' in outputs ? answer(outputs, 'recent/') : overall),
      frame,
      partial,
      overall,
    }
  }
}

/**
 * Returns the k most probable classes of every video, the most probable first. Classes of equal
 * probability are in the order of their index.
 * @param probs [b, c]
 */
export function topsOf(
  probs: Float32Array,
  numClasses: number,
  labels: readonly string[] | null,
  k: number,
): Class[][] {
  return Array.from({ length: probs.length / numClasses }, (_, video) => {
    const own = probs.subarray(video * numClasses, (video + 1) * numClasses)
    return Array.from(own.keys())
      .sort((one, other) => own[other]! - own[one]! || one - other)
      .slice(0, k)
      .map((index) => ({ label: labels?.[index] ?? null, index, prob: own[index]! }))
  })
}
