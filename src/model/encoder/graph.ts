/**
 * The encoder of TRecViT: from tokens to encoded tokens. It is independent of the heads. Every line
 * names the part of the reference that it implements: [T] google-deepmind/trecvit
 * trecvit/modules.py, [R] google-deepmind/recurrentgemma jax/modules.py and jax/layers.py, [F]
 * flax.linen.
 */
import type { Tensor } from '../../program/program.ts'
import type { Recorder } from '../../program/record.ts'
import { type EncoderConfig, type LayersConfig, leadOf } from '../config.ts'
import { dense, layerNorm } from '../layers.ts'

/** A choice among the tokens of every frame, [b, t, n, d] → [b, t, n', d], without a copy. */
export type Select = (tokens: Tensor) => Tensor

/**
 * Returns the path of a layer's temporal block in the official parameter names.
 * @param path of all layers
 */
export function temporalPath(layer: number, path: string = 'encoder'): string {
  return `${path}/residualblock_${String(layer).padStart(2, '0')}`
}

/**
 * Returns the path of a layer's spatial block in the official parameter names.
 * @param path of all layers
 */
export function spatialPath(layer: number, path: string = 'encoder'): string {
  return `${path}/encoderblock_${layer}`
}

/**
 * Records the tokens of every frame: a class token, query tokens, then the patches. A program with
 * query tokens has an input `queries` [b, t, n, d]: the query tokens in their rows, zeros in
 * others.
 * @param pixels [b, t, H, W, 3]
 * @returns [b, t, n, d]
 */
export function recordTokens(ops: Recorder, config: EncoderConfig, pixels: Tensor): Tensor {
  const { patchSize, queryTokens, width } = config
  // [T] Tokenizer: embedding (nn.Conv, VALID), + get_posemb, cls in front; the table holds cls,
  // then bias + position.
  const lead = leadOf(config)
  const patches = ops.patchify('tokenizer/patches', pixels, { lead, patchSize })
  return ops.linear('tokens', patches, 'tokenizer/embedding', {
    table: 'tokenizer/table',
    ...(queryTokens && { add: ops.input('queries', [...patches.shape.slice(0, -1), width]) }),
  })
}

/**
 * Records the layers and the last norm.
 * @param x tokens [b, t, n, d]
 * @param select the tokens that heads read; after the last attention only these are computed
 * @returns encoded tokens [b, t, n', d]
 */
export function recordEncoder(
  ops: Recorder,
  config: EncoderConfig,
  x: Tensor,
  select?: Select,
): Tensor {
  // [T] LRUViT: nn.LayerNorm(name="encoder_norm")
  return layerNorm(ops, 'encoded', recordLayers(ops, config, x, select), 'encoder/encoder_norm')
}

/**
 * Records the layers.
 * @param x, select as for recordEncoder
 * @param path of their weights
 */
export function recordLayers(
  ops: Recorder,
  config: LayersConfig,
  x: Tensor,
  select: Select = (tokens) => tokens,
  path?: string,
): Tensor {
  const { depth } = config
  for (let layer = 0; layer < depth; layer++) {
    const read: Select = layer < depth - 1 ? (tokens) => tokens : select
    x = temporalBlock(ops, config, temporalPath(layer, path), x)
    x = spatialBlock(ops, config, spatialPath(layer, path), x, read)
  }
  return x
}

// [R] ResidualBlock
function temporalBlock(ops: Recorder, config: LayersConfig, path: string, x: Tensor): Tensor {
  const { lruWidth: e, numHeads } = config
  const block = `${path}/recurrent_block`
  const lru = `${block}/rg_lru`
  // temporal_pre_norm
  const norm = `${path}/temporal_pre_norm`
  const u = ops.rmsNorm(norm, x, `${norm}/scale`)
  // [R] RecurrentBlock: y = gelu(linear_y(x)); x = linear_x(x), as one product
  const yx = dense(ops, `${block}/linear_yx`, u, `${block}/linear_yx`, {
    activation: 'gelu',
    activated: e,
  })
  const y = ops.columns(yx, 0, e)
  const z = ops.columns(yx, e, e)
  // conv_1d
  const v = ops.conv1d(`${block}/conv_1d`, z, `${block}/conv_1d/w`, `${block}/conv_1d/b`)
  // [R] RGLRU: input_gate and a_gate, as one product, before their sigmoids
  const gates = ops.blockLinear(`${lru}/gates`, v, `${lru}/gates/w`, `${lru}/gates/b`)
  // the rest of RGLRU, then x * y
  const joined = ops.rgLru(`${block}/joined`, v, gates, y, `${lru}/decay`, numHeads)
  // linear_out, residual = x + raw_x
  const out = dense(ops, `${path}/after_recurrence`, joined, `${block}/linear_out`, { add: x })
  return config.useMlp ? gatedMlp(ops, path, out) : out
}

// [R] ResidualBlock, its second half
function gatedMlp(ops: Recorder, path: string, x: Tensor): Tensor {
  const mlp = `${path}/mlp_block`
  // channel_pre_norm
  const norm = `${path}/channel_pre_norm`
  const w = ops.rmsNorm(norm, x, `${norm}/scale`)
  // [R] MLPBlock: gelu(ffw_up[0]) * ffw_up[1], then ffw_down, x + residual
  const gate = ops.linear(`${mlp}/gate`, w, `${mlp}/ffw_up/w/0`, {
    bias: `${mlp}/ffw_up/b/0`,
    activation: 'gelu',
  })
  const up = ops.linear(`${mlp}/activations`, w, `${mlp}/ffw_up/w/1`, {
    bias: `${mlp}/ffw_up/b/1`,
    multiply: gate,
  })
  return dense(ops, `${path}/out`, up, `${mlp}/ffw_down`, { add: x })
}

// [T] Encoder1DBlock
function spatialBlock(
  ops: Recorder,
  { width: d, numHeads }: LayersConfig,
  path: string,
  x: Tensor,
  select: Select,
): Tensor {
  const attend = `${path}/MultiHeadDotProductAttention_0`
  const mlp = `${path}/MlpBlock_0`
  // y = LayerNorm_0(x)
  const y = layerNorm(ops, `${path}/LayerNorm_0`, x)
  // [F] MultiHeadDotProductAttention: query, key, value
  const kv = dense(ops, `${attend}/key_value`, y, `${attend}/key_value`)
  const q = dense(ops, `${attend}/query`, select(y), `${attend}/query`)
  const k = ops.columns(kv, 0, d)
  const v = ops.columns(kv, d, d)
  // [F] dot_product_attention
  const context = ops.attention(`${attend}/context`, q, k, v, numHeads)
  // out; x = x + y
  const after = dense(ops, `${path}/after_attention`, context, `${attend}/out`, { add: select(x) })
  // y = LayerNorm_1(x)
  const z = layerNorm(ops, `${path}/LayerNorm_1`, after)
  // [T] MlpBlock: Dense_0, gelu, Dense_1; x = x + y
  const hidden = dense(ops, `${mlp}/gelu`, z, `${mlp}/Dense_0`, { activation: 'gelu' })
  return dense(ops, `${path}/out`, hidden, `${mlp}/Dense_1`, { add: after })
}
