/**
 * TRecViT, once, over the interface of operations. Every line names what it implements in the
 * reference: [T] google-deepmind/trecvit trecvit/modules.py, [R] google-deepmind/recurrentgemma
 * jax/modules.py and jax/layers.py, [F] flax.linen.
 */
import type { MatrixDType } from '../backend/backend.ts'
import type { AverageKind, Program, Tensor } from '../program/program.ts'
import { Recorder } from '../program/record.ts'
import type { Config } from './config.ts'
import { weightTable } from './weights.ts'

/** What one replay takes and gives. */
export interface ProgramOptions {
  /** Videos side by side. */
  readonly b: number
  /** Frames of each in a chunk. */
  readonly t: number
  /** Pixels as bytes 0..255 or float32 0..1. */
  readonly pixels: 'u8' | 'f32'
  /** Kind of average of a second answer, `recent`; with 'all' there is only the model's own. */
  readonly recent: AverageKind
  /** Number format of the matrices; float32 unless given. */
  readonly dtype?: MatrixDType
  /**
   * Also give the encoded tokens [b, t, n, d], which costs the rows of the last block that a class
   * token makes superfluous.
   */
  readonly encoded: boolean
}

/**
 * Records the model. Outputs: `encoded` [b, t, n, d] if asked for or if there is no head; with a
 * head `frame_features`, `pre_logits` [b, t, 1, rep], `logits`, `probs` [b, t, 1, c] over all
 * frames since the reset, and `recent/logits`, `recent/probs`.
 */
export function recordModel(
  config: Config,
  { b, t, pixels: pixelType, recent, dtype, encoded: wantsTokens }: ProgramOptions,
): Program {
  const ops = new Recorder(
    b,
    t,
    new Map(weightTable(config, dtype).map((weight) => [weight.name, weight])),
  )
  const { width: d, lruWidth: e, numHeads, depth, poolType, patchSize, imageSize } = config
  const hasHead = config.numClasses > 0
  const everyToken = wantsTokens || !hasHead || poolType === 'gap'

  const pixels = ops.pixels(imageSize[0], imageSize[1], pixelType)
  // [T] Tokenizer: embedding (nn.Conv, VALID), + get_posemb, cls in front; the table holds cls,
  // then bias + position.
  const patches = ops.patchify('tokenizer/patches', pixels, {
    lead: poolType === 'tok' ? 1 : 0,
    patchSize,
  })
  let x = ops.linear('tokens', patches, 'tokenizer/embedding', { table: 'tokenizer/table' })

  for (let layer = 0; layer < depth; layer++) {
    x = temporalBlock(`encoder/residualblock_${String(layer).padStart(2, '0')}`, x)
    x = spatialBlock(`encoder/encoderblock_${layer}`, x, everyToken || layer < depth - 1)
  }
  // [T] LRUViT: nn.LayerNorm(name="encoder_norm")
  x = ops.layerNorm('encoded', x, 'encoder/encoder_norm/scale', 'encoder/encoder_norm/bias')
  const encoded = wantsTokens || !hasHead ? { encoded: x } : {}
  if (!hasHead) return ops.end(encoded)

  // [T] ClassificationDecoder: head_input = x[:, 0] or mean over tokens
  const headInput = poolType === 'gap' ? ops.pool('decoder/head_input', x) : ops.token(x, 0)
  // nn.tanh(pre_logits(x)), mean over t
  const features = ops.linear('decoder/frame_features', headInput, 'decoder/pre_logits/kernel', {
    bias: 'decoder/pre_logits/bias',
    activation: 'tanh',
  })
  const answers = { ...answer('', 'all'), ...(recent !== 'all' && answer('recent/', recent)) }
  return ops.end({ ...encoded, frame_features: features, ...answers })

  function answer(path: string, over: AverageKind): Record<string, Tensor> {
    const preLogits = ops.average(`${path}pre_logits`, features, over)
    // cls_head, softmax
    const logits = ops.linear(`${path}logits`, preLogits, 'decoder/cls_head/kernel', {
      bias: 'decoder/cls_head/bias',
    })
    const probs = ops.softmax(`${path}probs`, logits)
    return { [`${path}pre_logits`]: preLogits, [`${path}logits`]: logits, [`${path}probs`]: probs }
  }

  // [R] ResidualBlock
  function temporalBlock(path: string, x: Tensor): Tensor {
    const block = `${path}/recurrent_block`
    const lru = `${block}/rg_lru`
    // temporal_pre_norm
    const u = ops.rmsNorm(`${path}/temporal_pre_norm`, x, `${path}/temporal_pre_norm/scale`)
    // [R] RecurrentBlock: y = gelu(linear_y(x)); x = linear_x(x), as one product
    const yx = ops.linear(`${block}/linear_yx`, u, `${block}/linear_yx/kernel`, {
      bias: `${block}/linear_yx/bias`,
      activation: 'gelu',
      activated: e,
    })
    // conv_1d
    const v = ops.conv1d(
      `${block}/conv_1d`,
      ops.columns(yx, e, e),
      `${block}/conv_1d/w`,
      `${block}/conv_1d/b`,
    )
    // [R] RGLRU: input_gate and a_gate, as one product, before their sigmoids
    const gates = ops.blockLinear(`${lru}/gates`, v, `${lru}/gates/w`, `${lru}/gates/b`)
    // the rest of RGLRU, then x * y
    const joined = ops.rgLru(
      `${block}/joined`,
      v,
      gates,
      ops.columns(yx, 0, e),
      `${lru}/decay`,
      numHeads,
    )
    // linear_out, residual = x + raw_x
    const residual = ops.linear(`${path}/after_recurrence`, joined, `${block}/linear_out/kernel`, {
      bias: `${block}/linear_out/bias`,
      add: x,
    })
    if (!config.useMlp) return residual
    // channel_pre_norm
    const w = ops.rmsNorm(`${path}/channel_pre_norm`, residual, `${path}/channel_pre_norm/scale`)
    // [R] MLPBlock: gelu(ffw_up[0]) * ffw_up[1], then ffw_down, x + residual
    const mlp = `${path}/mlp_block`
    const gate = ops.linear(`${mlp}/gate`, w, `${mlp}/ffw_up/w/0`, {
      bias: `${mlp}/ffw_up/b/0`,
      activation: 'gelu',
    })
    const up = ops.linear(`${mlp}/activations`, w, `${mlp}/ffw_up/w/1`, {
      bias: `${mlp}/ffw_up/b/1`,
      multiply: gate,
    })
    return ops.linear(`${path}/out`, up, `${mlp}/ffw_down/kernel`, {
      bias: `${mlp}/ffw_down/bias`,
      add: residual,
    })
  }

  // [T] Encoder1DBlock; without `everyRow` only the class token, which is all that the head reads
  // of the last block
  function spatialBlock(path: string, x: Tensor, everyRow: boolean): Tensor {
    const attend = `${path}/MultiHeadDotProductAttention_0`
    const mlp = `${path}/MlpBlock_0`
    // y = LayerNorm_0(x)
    const y = ops.layerNorm(
      `${path}/LayerNorm_0`,
      x,
      `${path}/LayerNorm_0/scale`,
      `${path}/LayerNorm_0/bias`,
    )
    // [F] MultiHeadDotProductAttention: query, key, value
    const kv = ops.linear(`${attend}/key_value`, y, `${attend}/key_value/kernel`, {
      bias: `${attend}/key_value/bias`,
    })
    const rows = everyRow ? y : ops.token(y, 0)
    const q = ops.linear(`${attend}/query`, rows, `${attend}/query/kernel`, {
      bias: `${attend}/query/bias`,
    })
    // [F] dot_product_attention
    const context = ops.attention(
      `${attend}/context`,
      q,
      ops.columns(kv, 0, d),
      ops.columns(kv, d, d),
      numHeads,
    )
    // out; x = x + y
    const after = ops.linear(`${path}/after_attention`, context, `${attend}/out/kernel`, {
      bias: `${attend}/out/bias`,
      add: everyRow ? x : ops.token(x, 0),
    })
    // y = LayerNorm_1(x)
    const z = ops.layerNorm(
      `${path}/LayerNorm_1`,
      after,
      `${path}/LayerNorm_1/scale`,
      `${path}/LayerNorm_1/bias`,
    )
    // [T] MlpBlock: Dense_0, gelu, Dense_1; x = x + y
    const hidden = ops.linear(`${mlp}/gelu`, z, `${mlp}/Dense_0/kernel`, {
      bias: `${mlp}/Dense_0/bias`,
      activation: 'gelu',
    })
    return ops.linear(`${path}/out`, hidden, `${mlp}/Dense_1/kernel`, {
      bias: `${mlp}/Dense_1/bias`,
      add: after,
    })
  }
}
