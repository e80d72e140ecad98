/** The programs of masked auto-encoding: visible patches are encoded, all patches predicted. */
import { type Config, encoderOf } from '../model/config.ts'
import { recordEncoder, recordLayers, recordTokens } from '../model/encoder/graph.ts'
import { dense, layerNorm } from '../model/layers.ts'
import type { Program, Tensor } from '../program/program.ts'
import { DECODER, type DecoderConfig, layersOf, patchesOf } from './maskedModel.ts'
import type { BatchSize } from './program.ts'
import type { TrainingRecorder } from './recorder.ts'
import { recorderOf, recordUpdate, type Use } from './update.ts'
import type { Training } from './weights.ts'

/** A masked auto-encoder in training. */
export interface MaskedTraining extends Training {
  /** Of the encoder: no class token. */
  readonly config: Config
  readonly decoder: DecoderConfig
}

/** Size of a batch with masks. */
export interface MaskedSize extends BatchSize {
  /** Visible patches of each frame. */
  readonly v: number
}

/**
 * Records a training step: the prediction of all patches, its squared error, the gradients, and an
 * update by AdamW.
 *
 * Inputs: those of `recordMaskedPrediction`; `target` [b, t, g, p·p·3]; `weight` [b, t, g, 1]: the
 * weight of each patch in the loss; and those of `recordUpdate`. Outputs: `loss` [b, t, g, 1] of
 * each patch, and those of `recordUpdate`.
 */
export function recordMaskedStep(
  training: MaskedTraining,
  { b, t, v }: MaskedSize,
  use: Use,
): Program {
  const ops = recorderOf(training, b, t)
  const prediction = recordPrediction(ops, training, v)
  const target = ops.input('target', prediction.shape)
  const weight = ops.input('weight', [...prediction.shape.slice(0, -1), 1])
  const { loss, dprediction } = ops.squaredError('loss', prediction, target, weight)
  const seeds = [{ of: prediction, gradient: dprediction }]
  return ops.end({ loss, ...recordUpdate(ops, training, seeds, loss, use) })
}

/**
 * Records the prediction of all patches from the visible ones.
 *
 * Inputs: `pixels` [b, t, H, W, 3], u8; `visible` [b, v]: indices of the visible patches, the same
 * in all frames of a video; `masked` [b, t, g, 1]: 1 for hidden patches and 0 for visible ones.
 * @returns a program with the output `prediction` [b, t, g, p·p·3], in the order (y, x, colour)
 */
export function recordMaskedPrediction(training: MaskedTraining, { b, t, v }: MaskedSize): Program {
  const ops = recorderOf(training, b, t, training.averages)
  return ops.end({ prediction: recordPrediction(ops, training, v) })
}

function recordPrediction(
  ops: TrainingRecorder,
  { config, decoder }: MaskedTraining,
  v: number,
): Tensor {
  const encoder = encoderOf(config)
  const [height, width] = config.imageSize
  const g = patchesOf(config)
  const tokens = recordTokens(ops, encoder, ops.pixels(height, width, 'u8'))
  const visible = ops.input('visible', [ops.b, v])
  const encoded = recordEncoder(ops, encoder, ops.gather('tokens/visible', tokens, visible))
  const embedded = dense(ops, `${DECODER}/embed`, encoded, `${DECODER}/embed`)
  // The token where patches are hidden, as a product: its gradient is then that of a kernel.
  const masked = ops.input('masked', [ops.b, ops.t, g, 1])
  const full = ops.linear(`${DECODER}/full`, masked, `${DECODER}/mask_token`, {
    add: ops.scatter(`${DECODER}/visible`, embedded, visible, g),
    table: `${DECODER}/positions`,
  })
  const decoded = recordLayers(ops, layersOf(config, decoder), full, undefined, DECODER)
  const normed = layerNorm(ops, `${DECODER}/decoder_norm`, decoded)
  return dense(ops, `${DECODER}/pixels`, normed, `${DECODER}/pixels`)
}
