import { type Config, hasClassHead } from '../model/config.ts'
import { recordModel } from '../model/graph.ts'
import type { Style } from './context.ts'
import type { FloatType, Graph } from './graph.ts'
import { type ProgramOptions, writeProgram } from './program.ts'
import type { Weights } from './weights.ts'

/** Options for `writeModel`. */
export interface ModelOptions {
  /** `step`: frames of a stream; states are inputs and outputs. `clip`: starts from a reset. */
  readonly graph: 'step' | 'clip'
  /** Number of frames in a run. */
  readonly frames: number
  readonly dtype: FloatType
  /** `plain` by default; see `Style`. */
  readonly attention?: Style['attention']
}

/**
 * Writes a model as an ONNX graph for one video. Input: `pixels` [1, frames, H, W, 3], 0..1.
 * Outputs: `logits` and `probs` [1, c] after the last frame, averaged over all frames since the
 * reset. A model without a head has the output `encoded` [1, frames, n, d] instead. The `step`
 * graph also has the states as inputs and outputs: see `writeProgram`.
 * @param to an empty graph to write to
 */
export function writeModel(
  config: Config,
  weights: Weights,
  { graph, frames, dtype, attention = 'plain' }: ModelOptions,
  to?: Graph,
): Graph {
  const hasHead = hasClassHead(config)
  const program = recordModel(config, {
    b: 1,
    t: frames,
    pixels: 'f32',
    recent: 'all',
    encoded: !hasHead,
  })
  const options: ProgramOptions = {
    stateful: graph === 'step',
    dtype,
    attention,
    outputs: hasHead ? { logits: 'last', probs: 'last' } : { encoded: 'tokens' },
  }
  return writeProgram(program, weights, options, to)
}
