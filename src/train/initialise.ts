/**
 * First values of the parameters, as the official code draws them: google-deepmind/trecvit
 * trecvit/modules.py, google-deepmind/recurrentgemma recurrentgemma/jax/layers.py.
 *
 * fan_in counts as in JAX: rows times every axis that is neither rows nor columns.
 */
import type { Config, LayersConfig } from '../model/config.ts'
import type { Parameter } from '../model/tensorTable.ts'
import { parametersOf } from '../model/weights.ts'
import { sizeOf } from '../program/program.ts'
import { ln, Random } from './random.ts'

/** Standard deviation of a normal distribution that is cut at ±2. */
const CUT = 0.87962566103423978
/** Largest and least |a|^(1/4) of the recurrence at the start. */
const MAX_RADIUS = 0.999
const MIN_RADIUS = 0.5

/**
 * Returns all parameters of a configuration by their official names, row-major.
 * @param seed an integer, 0 to 2³² − 1; each parameter has a generator of its own, so that its
 *   values do not depend on what else the model has
 * @throws TrecvitError if the seed is something else
 * @example
 * const parameters = initialise(configOf('Ti', { numClasses: 10 }), 1)
 */
export function initialise(config: Config, seed: number): Map<string, Float32Array> {
  return initialValues(parametersOf(config), config, seed)
}

/**
 * Returns values of parameters, as `initialise` does.
 * @param config of the layers that they are part of
 */
export function initialValues(
  parameters: readonly Parameter[],
  config: LayersConfig,
  seed: number,
): Map<string, Float32Array> {
  const root = new Random(seed)
  const first = root.integer()
  return new Map(
    parameters.map(({ name, shape }) => {
      const values = new Float32Array(sizeOf(shape))
      const random = new Random((first ^ hash(name)) >>> 0)
      const draw = drawOf(name, shape, config, random)
      for (let i = 0; i < values.length; i++) values[i] = draw()
      return [name, values]
    }),
  )
}

/** Returns what gives the values of a parameter one after the other. */
function drawOf(
  name: string,
  shape: readonly number[],
  config: LayersConfig,
  random: Random,
): () => number {
  const { width: d, depth, lruWidth: e, mlpDim: m } = config
  const normal = (std: number) => () => std * random.normal()
  const lecun = (fanIn: number) => () => (random.truncatedNormal() / CUT) * Math.sqrt(1 / fanIn)
  const path = name.split('/')
  const role = path.at(-1)!
  const layer = path.at(-2)!
  if (role === 'a_param') return () => recurrence(random.uniform())
  if (role === 'cls') return () => 0
  // MCG-NJU/VideoMAE modeling_pretrain.py
  if (role === 'mask_token') return () => 0.02 * random.truncatedNormal()
  if (role === 'pos_embedding') return normal(1 / Math.sqrt(d))
  if (role === 'scale') return () => (/^(temporal|channel)_pre_norm$/.test(layer) ? 0 : 1)
  if (role === 'bias' || role === 'b') return /^Dense_[01]$/.test(layer) ? normal(1e-6) : () => 0
  switch (layer) {
    case 'embedding':
      return lecun(sizeOf(shape.slice(0, -1)))
    case 'pre_logits':
    case 'cls_head':
      return lecun(shape[0]!)
    case 'linear_x':
    case 'linear_y':
      return normal(1 / Math.sqrt(d))
    case 'linear_out':
      return normal(Math.sqrt(2 / (depth * e)))
    case 'ffw_down':
      return normal(Math.sqrt(2 / (depth * m)))
    case 'conv_1d':
      return normal(Math.sqrt(0.01 / config.conv1dTemporalWidth))
    case 'input_gate':
    case 'a_gate':
      // The axis of blocks counts as receptive field.
      return normal(1 / Math.sqrt(e))
    case 'ffw_up':
      return normal(1 / Math.sqrt(2 * d))
    default:
      return xavier(name, shape, d, random)
  }
}

/** Kernels of attention and MLP: uniform in ±√(6/(inputs + outputs)), of the matrix [in, out]. */
function xavier(name: string, shape: readonly number[], d: number, random: Random): () => number {
  // The kernel of `out` has two axes of inputs, those of query, key and value two of outputs.
  const inputs = name.endsWith('/out/kernel') ? sizeOf(shape.slice(0, -1)) : shape[0]!
  const outputs = name.endsWith('/out/kernel') ? d : sizeOf(shape.slice(1))
  const limit = Math.sqrt(6 / (inputs + outputs))
  return () => limit * (2 * random.uniform() - 1)
}

/** a_param for which R = σ(−a_param) has R² uniform in MIN_RADIUS²..MAX_RADIUS². */
function recurrence(u: number): number {
  const square = u * (MAX_RADIUS ** 2 - MIN_RADIUS ** 2) + MIN_RADIUS ** 2 + 1e-8
  return ln(1 / Math.sqrt(square) - 1)
}

/** FNV-1a of a name. */
function hash(name: string): number {
  let h = 0x811c9dc5
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193)
  return h >>> 0
}
