/** A model as a program: encoder, read-outs and head, over the interface of operations. */
import type { MatrixDType } from '../backend/backend.ts'
import type { AverageKind, Program } from '../program/program.ts'
import { Recorder } from '../program/record.ts'
import { type Config, encoderOf, hasClassHead } from './config.ts'
import { recordEncoder, recordTokens } from './encoder/graph.ts'
import { readBy, recordClassification } from './heads/classification.ts'
import { type ReadOut, readOutsOf } from './readout.ts'
import { weightTable } from './weights.ts'

/** Options of a program. */
export interface ProgramOptions {
  /** Batch size. */
  readonly b: number
  /** Frames of each video in a chunk. */
  readonly t: number
  /** Pixels as bytes 0..255 or float32 0..1. */
  readonly pixels: 'u8' | 'f32'
  /**
   * Kind of average of the second read-out, `recent`. With 'all' there is only the first, over all
   * frames.
   */
  readonly recent: AverageKind
  /** Number format of the matrices; float32 by default. */
  readonly dtype?: MatrixDType
  /**
   * Whether the encoded tokens [b, t, n, d] are an output. If not, a model with a class token
   * computes only that row in the last block.
   */
  readonly encoded: boolean
  /** Number of streams, each of b videos; 1 by default. */
  readonly streams?: number
}

/**
 * Records the model. Outputs: `encoded` [b, t, n, d] if asked for or if there is no head; with a
 * head `frame_features`, `pre_logits` [b, t, 1, rep], `logits`, `probs` [b, t, 1, c] over all
 * frames since the reset, and `recent/logits`, `recent/probs`.
 */
export function recordModel(
  config: Config,
  { b, t, pixels: pixelType, recent, dtype, encoded: wantsTokens, streams = 1 }: ProgramOptions,
  readOuts: readonly ReadOut[] = readOutsOf(recent),
): Program {
  const weights = new Map(weightTable(config, dtype).map((weight) => [weight.name, weight]))
  const ops = new Recorder(b * streams, t, weights, streams)
  const encoder = encoderOf(config)
  const [height, width] = config.imageSize
  const hasHead = hasClassHead(config)

  const pixels = ops.pixels(height, width, pixelType)
  const tokens = recordTokens(ops, encoder, pixels)
  const select = wantsTokens || !hasHead ? undefined : readBy(ops, config)
  const encoded = recordEncoder(ops, encoder, tokens, select)
  return ops.end({
    ...((wantsTokens || !hasHead) && { encoded }),
    ...(hasHead && recordClassification(ops, config, encoded, readOuts)),
  })
}
