import { TrecvitError } from '../../src/base/error.ts'
import { type Config, gridOf, tokensOf } from '../../src/model/config.ts'
import { Graph, type Value } from './graph.ts'

/** Weights by the name of src/model/encoder/tensors.ts, row-major [blocks, rows, columns]. */
export type Weights = ReadonlyMap<string, Float32Array>

/** As one com.microsoft.MultiHeadAttention node, or as products, softmax and transposes. */
export type Attention = 'fused' | 'plain'

/** A number array that goes in each frame and comes from the frame before; zero at the start. */
export interface Carried {
  readonly input: Value
  readonly shape: readonly number[]
  /** The output, or input, of the frame before that becomes this input. */
  readonly from: Value
}

/** The model of one frame, and how frames hang together. */
export interface Step {
  /** The .onnx file. */
  readonly bytes: Uint8Array
  /** Shape of the input `pixels`. */
  readonly pixels: readonly number[]
  readonly carried: readonly Carried[]
}

/**
 * One frame of a stream as an ONNX model. Inputs: `pixels` [1, H, W, 3] 0..1; `first` [1], 1 on the
 * first frame and 0 after; `count` [1], frames so far with this one; and what is carried. Outputs:
 * `logits`, `probs` [1, c] over all frames so far, and what is carried.
 *
 * As a careful user would write it for onnxruntime: fused nodes wherever there are some (bias in
 * Gemm, FastGelu, residual sum and norm, attention); products that share an input apart, because
 * joining and splitting them is not faster; the last block with the class token alone; and the
 * inputs of conv1d carried as one array a frame, so that shifting them costs no copy.
 * @throws TrecvitError if the configuration has something that this writer does not know
 */
export function writeStep(config: Config, weights: Weights, attention: Attention): Step {
  const {
    width: d,
    lruWidth: e,
    numHeads: h,
    mlpDim: m,
    depth,
    repSize,
    numClasses: c,
    conv1dTemporalWidth: k,
    imageSize,
    patchSize,
  } = config
  if (config.poolType !== 'tok' || config.useMlp || c === 0)
    throw new TrecvitError(
      'The ONNX step expected a classifier with a class token and without "useMlp"',
    )
  const n = tokensOf(config)
  const r = d / h
  const w = e / h
  const g = new Graph()
  const carried: Carried[] = []

  const weight = (name: string) => {
    const values = weights.get(name)
    if (!values) throw new TrecvitError(`The ONNX step expected a weight named "${name}"`)
    return values
  }
  const constant = (name: string, ...shape: number[]) => g.constant(weight(name), shape)
  const reshape = (x: Value, ...shape: number[]) => g.node('Reshape', [x, g.integers(...shape)])
  const transpose = (x: Value, ...perm: number[]) => g.node('Transpose', [x], { perm })
  const add = (x: Value, y: Value) => g.node('Add', [x, y])
  const mul = (x: Value, y: Value) => g.node('Mul', [x, y])
  /** x [rows, inputs]·kernel + bias, of which columns from..from+outputs−1. */
  const dense = (name: string, x: Value, inputs: number, outputs: number, from = 0) =>
    g.node('Gemm', [
      x,
      g.constant(columns(weight(`${name}/kernel`), inputs, from, outputs), [inputs, outputs]),
      g.constant(columns(weight(`${name}/bias`), 1, from, outputs), [outputs]),
    ])
  const gelu = (x: Value) => g.node('FastGelu', [x], {}, 'com.microsoft')
  const carry = (input: Value, shape: readonly number[], from: Value) => {
    g.input(input, shape)
    carried.push({ input, shape, from })
    return input
  }
  /** rmsNorm or layerNorm of x + y, and x + y. */
  const norm = (
    kind: 'rms' | 'layer',
    name: string,
    x: Value,
    y: Value | null,
  ): [normed: Value, sum: Value] => {
    const scale =
      kind === 'rms'
        ? g.constant(
            weight(`${name}/scale`).map((value) => 1 + value),
            [d],
          )
        : constant(`${name}/scale`, d)
    const affine = kind === 'rms' ? [scale] : [scale, constant(`${name}/bias`, d)]
    const epsilon = { float: 1e-6 }
    if (y === null)
      return [
        g.node(
          kind === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization',
          [x, ...affine],
          { epsilon, axis: -1 },
        ),
        x,
      ]
    const op = kind === 'rms' ? 'SkipSimplifiedLayerNormalization' : 'SkipLayerNormalization'
    const [normed, , , sum] = g.nodes(
      op,
      [x, y, ...affine],
      [`${name}/normed`, '', '', `${name}/sum`],
      { epsilon },
      'com.microsoft',
    )
    return [normed!, sum!]
  }

  const shape = [1, ...imageSize, 3]
  const pixels = g.input('pixels', shape)
  const first = g.input('first', [1])
  const count = g.input('count', [1])
  // On the first frame a decay of e^−huge forgets the (empty) past and makes √(1 − a²) one.
  const haste = add(
    mul(first, g.constant(Float32Array.of(1e6), [1])),
    g.constant(Float32Array.of(1), [1]),
  )

  let x = tokens()
  let more: Value | null = null
  for (let layer = 0; layer < depth; layer++) {
    ;[x, more] = temporalBlock(layer, x, more)
    ;[x, more] = spatialBlock(layer, x, more, layer === depth - 1)
  }
  const [encoded] = norm('layer', 'encoder/encoder_norm', x, more)
  const features = g.node('Tanh', [dense('decoder/pre_logits', encoded, d, repSize)])
  g.nodes('Add', [carry('sum', [1, repSize], 'next_sum'), features], ['next_sum'])
  g.output('next_sum', [1, repSize])
  const logits = dense('decoder/cls_head', g.node('Div', ['next_sum', count]), repSize, c)
  g.nodes('Identity', [logits], ['logits'])
  g.nodes('Softmax', [logits], ['probs'], { axis: -1 })
  g.output('logits', [1, c])
  g.output('probs', [1, c])
  return { bytes: g.encode(), pixels: shape, carried }

  /** Patches·embedding + bias + positions, the class token in front. */
  function tokens(): Value {
    const [gy, gx] = gridOf(config)
    const [py, px] = patchSize
    const patches = reshape(
      transpose(reshape(pixels, gy, py, gx, px * 3), 0, 2, 1, 3),
      n - 1,
      py * px * 3,
    )
    const table = weight('tokenizer/table')
    const embedded = g.node('MatMul', [patches, constant('tokenizer/embedding', py * px * 3, d)])
    return g.node(
      'Concat',
      [
        g.constant(table.subarray(0, d), [1, d]),
        add(embedded, g.constant(table.subarray(d), [n - 1, d])),
      ],
      { axis: 0 },
    )
  }

  /** The residual stream and what is still to be added to it. */
  function temporalBlock(layer: number, residual: Value, added: Value | null): [Value, Value] {
    const path = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${path}/recurrent_block`
    const [u, sum] = norm('rms', `${path}/temporal_pre_norm`, residual, added)
    const [y, z] = [dense(`${block}/linear_yx`, u, d, e), dense(`${block}/linear_yx`, u, d, e, e)]

    // conv1d: the newest tap and the bias, then the frames before, newest first.
    const taps = weight(`${block}/conv_1d/w`)
    const tap = (j: number) => g.constant(taps.subarray((k - 1 - j) * e, (k - j) * e), [e])
    const past = (j: number) => (j === 0 ? z : `past_${layer}_${j}`)
    g.output(z, [n, e])
    for (let j = 1; j < k; j++) carry(past(j), [n, e], past(j - 1))
    let v = add(mul(z, tap(0)), constant(`${block}/conv_1d/b`, e))
    for (let j = 1; j < k; j++) v = add(v, mul(past(j), tap(j)))

    // From here on head by head, [h, n, w], which the block-diagonal product wants.
    const heads = transpose(reshape(v, n, h, w), 1, 0, 2)
    const [inputGate, decayGate] = [0, w].map((from) =>
      g.node('Sigmoid', [
        add(
          g.node('MatMul', [
            heads,
            g.constant(columns(weight(`${block}/rg_lru/gates/w`), e, from, w), [h, w, w]),
          ]),
          g.constant(columns(weight(`${block}/rg_lru/gates/b`), h, from, w), [h, 1, w]),
        ),
      ]),
    ) as [Value, Value]
    const decay = mul(constant(`${block}/rg_lru/decay`, h, 1, w), haste)
    const a = g.node('Exp', [mul(decayGate, decay)])
    const rest = g.node('Sqrt', [g.node('Sub', [g.constant(Float32Array.of(1), [1]), mul(a, a)])])
    const s = `next_s_${layer}`
    g.nodes(
      'Add',
      [mul(a, carry(`s_${layer}`, [h, n, w], s)), mul(rest, mul(inputGate, heads))],
      [s],
    )
    g.output(s, [h, n, w])
    const joined = mul(reshape(transpose(s, 1, 0, 2), n, e), gelu(y))
    return [sum, dense(`${block}/linear_out`, joined, e, d)]
  }

  function spatialBlock(
    layer: number,
    residual: Value,
    added: Value | null,
    last: boolean,
  ): [Value, Value] {
    const path = `encoder/encoderblock_${layer}`
    const attend = `${path}/MultiHeadDotProductAttention_0`
    const mlp = `${path}/MlpBlock_0`
    const [y, sum] = norm('layer', `${path}/LayerNorm_0`, residual, added)
    const row = (from: Value) =>
      last ? g.node('Gather', [from, g.integers(0)], { axis: 0 }) : from
    const q = dense(`${attend}/query`, row(y), d, d)
    const [key, value] = [
      dense(`${attend}/key_value`, y, d, d),
      dense(`${attend}/key_value`, y, d, d, d),
    ]
    const context = contextOf(q, key, value, last ? 1 : n)
    const [z, after] = norm(
      'layer',
      `${path}/LayerNorm_1`,
      dense(`${attend}/out`, context, d, d),
      row(sum),
    )
    return [after, dense(`${mlp}/Dense_1`, gelu(dense(`${mlp}/Dense_0`, z, d, m)), m, d)]
  }

  /** softmax(q·kᵀ/√r)·v for each head; q [nq, d], key and value [n, d]. */
  function contextOf(q: Value, key: Value, value: Value, nq: number): Value {
    if (attention === 'fused') {
      const inputs = [reshape(q, 1, nq, d), reshape(key, 1, n, d), reshape(value, 1, n, d)]
      return reshape(g.node('MultiHeadAttention', inputs, { num_heads: h }, 'com.microsoft'), nq, d)
    }
    const scaled = mul(q, g.constant(Float32Array.of(1 / Math.sqrt(r)), [1]))
    const scores = g.node('MatMul', [
      transpose(reshape(scaled, nq, h, r), 1, 0, 2),
      transpose(reshape(key, n, h, r), 1, 2, 0),
    ])
    const sums = g.node('MatMul', [
      g.node('Softmax', [scores], { axis: -1 }),
      transpose(reshape(value, n, h, r), 1, 0, 2),
    ])
    return reshape(transpose(sums, 1, 0, 2), nq, d)
  }
}

/** Columns from..from+count−1 of a matrix; the matrix itself when these are all. */
export function columns(
  values: Float32Array,
  rows: number,
  from: number,
  count: number,
): Float32Array {
  const width = values.length / rows
  if (width === count) return values
  const part = new Float32Array(rows * count)
  for (let row = 0; row < rows; row++)
    part.set(values.subarray(row * width + from, row * width + from + count), row * count)
  return part
}
