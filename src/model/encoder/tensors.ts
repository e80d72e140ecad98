import type { MatrixDType } from '../../backend/backend.ts'
import { type EncoderConfig, gridOf, type LayersConfig, leadOf } from '../config.ts'
import { sincos2d, softplus } from '../math.ts'
import { TensorTable } from '../tensorTable.ts'
import { spatialPath, temporalPath } from './graph.ts'

/**
 * Returns the tensors of an encoder.
 * @param dtype number format of the matrices of the layers; that of the embedding stays a float
 */
export function encoderTensors(config: EncoderConfig, dtype: MatrixDType): TensorTable {
  const table = new TensorTable(dtype)
  addTokens(table, config)
  addLayers(table, config)
  table.layerNorm('encoder/encoder_norm', config.width)
  return table
}

/**
 * Adds the tensors of layers.
 * @param path of their names
 */
export function addLayers(table: TensorTable, config: LayersConfig, path?: string): void {
  const { width: d, depth, mlpDim: m, numHeads: h } = config
  for (let layer = 0; layer < depth; layer++) {
    const temporal = temporalPath(layer, path)
    addRecurrentBlock(table, config, temporal)
    if (config.useMlp) {
      const mlp = `${temporal}/mlp_block`
      table.vector(`${temporal}/channel_pre_norm/scale`, d)
      const up = table.parameter(`${mlp}/ffw_up/w`, 2, d, m)
      const bias = table.parameter(`${mlp}/ffw_up/b`, 2, 1, 1, m)
      for (const half of [0, 1]) {
        table.matrix(`${up}/${half}`, [1, d, m], [up, m, half * d * m])
        table.weight('rows', `${bias}/${half}`, [1, 1, m], [bias, m, half * m])
      }
      table.dense(`${mlp}/ffw_down`, [m], [d])
    }
    const spatial = spatialPath(layer, path)
    const attend = `${spatial}/MultiHeadDotProductAttention_0`
    const head = [h, d / h]
    table.layerNorm(`${spatial}/LayerNorm_0`, d)
    table.dense(`${attend}/query`, [d], head)
    table.dense(`${attend}/key_value`, [d], head, [`${attend}/key`, `${attend}/value`])
    table.dense(`${attend}/out`, head, [d])
    table.layerNorm(`${spatial}/LayerNorm_1`, d)
    table.dense(`${spatial}/MlpBlock_0/Dense_0`, [d], [m])
    table.dense(`${spatial}/MlpBlock_0/Dense_1`, [m], [d])
  }
}

/** Adds embedding, positions and class token. */
function addTokens(table: TensorTable, config: EncoderConfig): void {
  const { width: d, patchSize, posemb, classToken } = config
  const [rows, columns] = gridOf(config)
  const lead = leadOf(config)
  const patch = patchSize[0] * patchSize[1] * 3
  const kernel = table.parameter('tokenizer/embedding/kernel', 1, ...patchSize, 3, d)
  const parameters = [table.parameter('tokenizer/embedding/bias', d)]
  if (posemb === 'learn')
    parameters.push(table.parameter('tokenizer/pos_embedding', 1, rows * columns, d))
  if (classToken) parameters.push(table.parameter('tokenizer/cls', 1, 1, d))
  table.weight('matrix', 'tokenizer/embedding', [1, patch, d], [kernel, d])
  table.derived(
    'tokenizer/table',
    [lead + rows * columns, d],
    parameters,
    // Added to the embedded patches of a frame: the class token and zeros, where patch rows are
    // zero, then bias + position.
    ([bias, ...rest]) => {
      const position = posemb === 'learn' ? rest.shift()! : sincos2d(rows, columns, d)
      const first = lead * d
      const sums = new Float32Array(first + position.length)
      if (classToken) sums.set(rest[0]!)
      for (let i = 0; i < position.length; i++) sums[first + i] = position[i]! + bias![i % d]!
      return sums
    },
  )
}

function addRecurrentBlock(table: TensorTable, config: LayersConfig, path: string): void {
  const { width: d, lruWidth: e, numHeads: h, conv1dTemporalWidth: k } = config
  const block = `${path}/recurrent_block`
  const conv = `${block}/conv_1d`
  const lru = `${block}/rg_lru`
  table.vector(`${path}/temporal_pre_norm/scale`, d)
  table.dense(`${block}/linear_yx`, [d], [e], [`${block}/linear_y`, `${block}/linear_x`])
  table.dense(`${block}/linear_out`, [e], [d])
  table.weight('rows', `${conv}/w`, [1, k, e], [table.parameter(`${conv}/w`, k, e), e])
  table.vector(`${conv}/b`, e)
  table.derived(`${lru}/decay`, [1, e], [table.parameter(`${lru}/a_param`, e)], ([a]) =>
    a!.map((value) => -8 * softplus(value)),
  )
  const gates = [`${lru}/input_gate`, `${lru}/a_gate`]
  for (const gate of gates) {
    table.parameter(`${gate}/w`, h, e / h, e / h)
    table.parameter(`${gate}/b`, h, e / h)
  }
  const sources = (role: string) => gates.map((gate) => [`${gate}/${role}`, e / h] as const)
  table.matrix(`${lru}/gates/w`, [h, e / h, (2 * e) / h], ...sources('w'))
  table.weight('rows', `${lru}/gates/b`, [h, 1, (2 * e) / h], ...sources('b'))
}
