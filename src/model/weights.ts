/**
 * The weights as a table: what a checkpoint holds (official names and shapes) and what the graph
 * reads (products that share their input lie side by side), and how the second comes from the
 * first.
 */
import type { MatrixDType } from '../backend/backend.ts'
import { scalesOf, type Weight } from '../program/program.ts'
import { type Config, gridOf, tokensOf } from './config.ts'
import { sincos2d, softplus } from './math.ts'

/** A tensor of a checkpoint. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
}

/**
 * Values of a parameter, row-major [blocks, rows, columns], from its element `from` on, that fill a
 * weight from column `at` on.
 */
export interface Part {
  readonly parameter: string
  readonly from: number
  readonly columns: number
  readonly at: number
}

/**
 * A weight of the graph and where it comes from: parts side by side, or a function of small
 * parameters.
 */
export type WeightSource = Weight &
  (
    | { readonly parts: readonly Part[] }
    | {
        readonly parameters: readonly string[]
        derive(values: readonly Float32Array[]): Float32Array
      }
  )

/**
 * Every tensor that a checkpoint of this configuration holds, in the official loader's names and
 * shapes.
 */
export function parametersOf(config: Config): Parameter[] {
  const {
    width: d,
    lruWidth: e,
    mlpDim: m,
    numHeads: h,
    conv1dTemporalWidth: k,
    repSize,
    numClasses,
    patchSize,
    posemb,
    poolType,
  } = config
  const [gridRows, gridColumns] = gridOf(config)
  const r = d / h
  const parameters: Parameter[] = []
  const add = (name: string, ...shape: number[]) => parameters.push({ name, shape })
  const dense = (name: string, inputs: readonly number[], outputs: readonly number[]) => {
    add(`${name}/kernel`, ...inputs, ...outputs)
    add(`${name}/bias`, ...outputs)
  }
  const norm = (name: string) => {
    add(`${name}/scale`, d)
    add(`${name}/bias`, d)
  }

  dense('tokenizer/embedding', [1, ...patchSize, 3], [d])
  if (posemb === 'learn') add('tokenizer/pos_embedding', 1, gridRows * gridColumns, d)
  if (poolType === 'tok') add('tokenizer/cls', 1, 1, d)
  for (let layer = 0; layer < config.depth; layer++) {
    const temporal = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${temporal}/recurrent_block`
    add(`${temporal}/temporal_pre_norm/scale`, d)
    dense(`${block}/linear_y`, [d], [e])
    dense(`${block}/linear_x`, [d], [e])
    dense(`${block}/linear_out`, [e], [d])
    add(`${block}/conv_1d/w`, k, e)
    add(`${block}/conv_1d/b`, e)
    add(`${block}/rg_lru/a_param`, e)
    for (const gate of ['input_gate', 'a_gate']) {
      add(`${block}/rg_lru/${gate}/w`, h, e / h, e / h)
      add(`${block}/rg_lru/${gate}/b`, h, e / h)
    }
    if (config.useMlp) {
      add(`${temporal}/channel_pre_norm/scale`, d)
      add(`${temporal}/mlp_block/ffw_up/w`, 2, d, m)
      add(`${temporal}/mlp_block/ffw_up/b`, 2, 1, 1, m)
      dense(`${temporal}/mlp_block/ffw_down`, [m], [d])
    }
    const spatial = `encoder/encoderblock_${layer}`
    norm(`${spatial}/LayerNorm_0`)
    for (const role of ['query', 'key', 'value'])
      dense(`${spatial}/MultiHeadDotProductAttention_0/${role}`, [d], [h, r])
    add(`${spatial}/MultiHeadDotProductAttention_0/out/kernel`, h, r, d)
    add(`${spatial}/MultiHeadDotProductAttention_0/out/bias`, d)
    norm(`${spatial}/LayerNorm_1`)
    dense(`${spatial}/MlpBlock_0/Dense_0`, [d], [m])
    dense(`${spatial}/MlpBlock_0/Dense_1`, [m], [d])
  }
  norm('encoder/encoder_norm')
  if (numClasses > 0) {
    dense('decoder/pre_logits', [d], [repSize])
    dense('decoder/cls_head', [repSize], [numClasses])
  }
  return parameters
}

/**
 * Every weight that the graph of this configuration reads.
 * @param dtype int8 makes whole numbers of the matrices of the encoder's layers, save those of the
 * gates, whose errors the recurrence would keep
 */
export function weightTable(config: Config, dtype: MatrixDType = 'f32'): WeightSource[] {
  const {
    width: d,
    lruWidth: e,
    mlpDim: m,
    numHeads: h,
    conv1dTemporalWidth: k,
    repSize,
    numClasses,
    patchSize,
    posemb,
    poolType,
  } = config
  const table: WeightSource[] = []
  const add = (
    kind: Weight['kind'],
    name: string,
    [blocks, rows, columns]: readonly [number, number, number],
    ...parts: (readonly [parameter: string, columns: number, from?: number])[]
  ) => {
    let at = 0
    table.push({
      name,
      kind,
      blocks,
      rows,
      columns,
      parts: parts.map(([parameter, width, from = 0]) => ({
        parameter,
        from,
        columns: width,
        at: (at += width) - width,
      })),
    })
  }
  const matrix = (
    name: string,
    inputs: number,
    outputs: number,
    ...parts: (readonly [parameter: string, columns: number, from?: number])[]
  ) => {
    const coarse = dtype === 'int8' && name.startsWith('encoder/')
    add(coarse ? 'int8' : 'matrix', name, [1, inputs, outputs], ...parts)
    // The scales of a part come with its values.
    if (coarse) add('rows', scalesOf(name), [1, 1, outputs])
  }
  const dense = (name: string, inputs: number, outputs: number, ...parts: string[]) => {
    const each = parts.length ? parts : [name]
    matrix(
      `${name}/kernel`,
      inputs,
      outputs,
      ...each.map((part) => [`${part}/kernel`, outputs / each.length] as const),
    )
    add(
      'rows',
      `${name}/bias`,
      [1, 1, outputs],
      ...each.map((part) => [`${part}/bias`, outputs / each.length] as const),
    )
  }
  const vector = (name: string, columns: number) =>
    add('rows', name, [1, 1, columns], [name, columns])

  add(
    'matrix',
    'tokenizer/embedding',
    [1, patchSize[0] * patchSize[1] * 3, d],
    ['tokenizer/embedding/kernel', d],
  )
  table.push({
    name: 'tokenizer/table',
    kind: 'rows',
    blocks: 1,
    rows: tokensOf(config),
    columns: d,
    parameters: [
      'tokenizer/embedding/bias',
      ...(posemb === 'learn' ? ['tokenizer/pos_embedding'] : []),
      ...(poolType === 'tok' ? ['tokenizer/cls'] : []),
    ],
    derive: (values) => tokenTable(config, values),
  })
  for (let layer = 0; layer < config.depth; layer++) {
    const temporal = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${temporal}/recurrent_block`
    vector(`${temporal}/temporal_pre_norm/scale`, d)
    dense(`${block}/linear_yx`, d, 2 * e, `${block}/linear_y`, `${block}/linear_x`)
    dense(`${block}/linear_out`, e, d)
    add('rows', `${block}/conv_1d/w`, [1, k, e], [`${block}/conv_1d/w`, e])
    vector(`${block}/conv_1d/b`, e)
    table.push({
      name: `${block}/rg_lru/decay`,
      kind: 'rows',
      blocks: 1,
      rows: 1,
      columns: e,
      parameters: [`${block}/rg_lru/a_param`],
      derive: ([a]) => a!.map((value) => -8 * softplus(value)),
    })
    for (const [kind, role, rows] of [
      ['matrix', 'w', e / h],
      ['rows', 'b', 1],
    ] as const) {
      add(
        kind,
        `${block}/rg_lru/gates/${role}`,
        [h, rows, (2 * e) / h],
        [`${block}/rg_lru/input_gate/${role}`, e / h],
        [`${block}/rg_lru/a_gate/${role}`, e / h],
      )
    }
    if (config.useMlp) {
      const mlp = `${temporal}/mlp_block`
      vector(`${temporal}/channel_pre_norm/scale`, d)
      for (const half of [0, 1]) {
        matrix(`${mlp}/ffw_up/w/${half}`, d, m, [`${mlp}/ffw_up/w`, m, half * d * m])
        add('rows', `${mlp}/ffw_up/b/${half}`, [1, 1, m], [`${mlp}/ffw_up/b`, m, half * m])
      }
      dense(`${mlp}/ffw_down`, m, d)
    }
    const spatial = `encoder/encoderblock_${layer}`
    const attend = `${spatial}/MultiHeadDotProductAttention_0`
    for (const norm of ['LayerNorm_0', 'LayerNorm_1'])
      for (const role of ['scale', 'bias']) vector(`${spatial}/${norm}/${role}`, d)
    dense(`${attend}/query`, d, d)
    dense(`${attend}/key_value`, d, 2 * d, `${attend}/key`, `${attend}/value`)
    dense(`${attend}/out`, d, d)
    dense(`${spatial}/MlpBlock_0/Dense_0`, d, m)
    dense(`${spatial}/MlpBlock_0/Dense_1`, m, d)
  }
  for (const role of ['scale', 'bias']) vector(`encoder/encoder_norm/${role}`, d)
  if (numClasses > 0) {
    dense('decoder/pre_logits', d, repSize)
    dense('decoder/cls_head', repSize, numClasses)
  }
  return table
}

/**
 * The parameters that may be whole numbers, as arrays [blocks, rows, columns], each block of which
 * has scales of its own.
 */
export function wholeParameters(
  config: Config,
): Map<string, { readonly blocks: number; readonly columns: number }> {
  const found = new Map<string, { readonly blocks: number; readonly columns: number }>()
  for (const weight of weightTable(config, 'int8')) {
    if (weight.kind !== 'int8' || !('parts' in weight)) continue
    for (const { parameter, columns } of weight.parts)
      found.set(parameter, { blocks: (found.get(parameter)?.blocks ?? 0) + 1, columns })
  }
  return found
}

/**
 * What is added to the embedded patches of a frame, [n, d]: the class token (whose patch row is
 * zero), then bias + position.
 */
function tokenTable(config: Config, values: readonly Float32Array[]): Float32Array {
  const { width: d, poolType, posemb } = config
  const [gridRows, gridColumns] = gridOf(config)
  const [bias, ...rest] = values as [Float32Array, ...Float32Array[]]
  const position = posemb === 'learn' ? rest.shift()! : sincos2d(gridRows, gridColumns, d)
  const table = new Float32Array(tokensOf(config) * d)
  const lead = poolType === 'tok' ? d : 0
  if (lead) table.set(rest[0]!)
  for (let i = 0; i < position.length; i++) table[lead + i] = position[i]! + bias[i % d]!
  return table
}
