import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { defaultDevice, init, type Array as JaxArray, nn, numpy as np, tree } from '@jax-js/jax'
import { TrecvitError } from '../../src/base/error.ts'
import { type Config, gridOf, tokensOf } from '../../src/model/config.ts'
import { takeColumns, type Weights } from '../../src/onnx/weights.ts'

/** Arrays by name. An array is freed by its last use; `.ref` adds one use. */
export type Arrays = Record<string, JaxArray>

/** Starts jax-js on the CPU, and returns its version. */
export async function startJax(): Promise<string> {
  if (!('Iterator' in globalThis))
    throw new TrecvitError('jax-js expected Node 22 or later: it uses methods of iterators')
  await init('wasm')
  defaultDevice('wasm')
  const main = createRequire(import.meta.url).resolve('@jax-js/jax')
  const text = readFileSync(join(dirname(main), '../package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Returns an array with these values. */
export function arrayOf(values: Float32Array, ...shape: number[]): JaxArray {
  return np.array(values as Float32Array<ArrayBuffer>, { shape })
}

/** Returns the carried arrays before the first frame. */
export function carriedOf(config: Config): Arrays {
  const { lruWidth: e, numHeads: h, depth, repSize, conv1dTemporalWidth: k } = config
  const n = tokensOf(config)
  const carried: Arrays = { sum: np.zeros([1, repSize]) }
  for (let layer = 0; layer < depth; layer++) {
    carried[`s ${layer}`] = np.zeros([h, n, e / h])
    for (let j = 1; j < k; j++) carried[`past ${layer} ${j}`] = np.zeros([n, e])
  }
  return carried
}

/**
 * Computes a frame.
 * @param known the weights; they are not freed
 * @param carried freed
 * @param first [1], 1 for the first frame of a video and 0 for the others; freed
 * @param pixels [H, W, 3] in 0..1; freed
 * @returns the carried arrays after it
 */
export function advanceFrame(
  config: Config,
  known: Arrays,
  carried: Arrays,
  first: JaxArray,
  pixels: JaxArray,
): Arrays {
  const {
    width: d,
    lruWidth: e,
    numHeads: h,
    depth,
    conv1dTemporalWidth: k,
    imageSize,
    patchSize,
  } = config
  const n = tokensOf(config)
  const [r, w] = [d / h, e / h]
  const of = (name: string) => known[name]!.ref
  const dense = (name: string, x: JaxArray) => denseOf(known, name, x)
  const norm = (x: JaxArray) =>
    x.ref.div(np.sqrt(np.mean(np.square(x), -1, { keepdims: true }).add(1e-6)))
  const layerNorm = (name: string, x: JaxArray) => {
    const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }))
    return norm(centred)
      .mul(of(`${name}/scale`))
      .add(of(`${name}/bias`))
  }
  /** x·(1 + tanh(z)) / 2 = x·sigmoid(2z), which is faster here than the library's. */
  const gelu = (x: JaxArray) =>
    x.ref.mul(
      nn.sigmoid(
        x.ref.mul(
          np
            .square(x)
            .mul(0.044715)
            .add(1)
            .mul(2 * Math.sqrt(2 / Math.PI)),
        ),
      ),
    )
  const next: Arrays = {}

  const temporalBlock = (layer: number, x: JaxArray): JaxArray => {
    const path = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${path}/recurrent_block`
    const u = norm(x.ref).mul(of(`${path}/temporal_pre_norm/scale`))
    const [y, z] = [dense(`${block}/y`, u.ref), dense(`${block}/z`, u)]
    let v = of(`${block}/conv_1d/b`)
    for (let j = 0; j < k; j++)
      v = v.add((j === 0 ? z.ref : carried[`past ${layer} ${j}`]!.ref).mul(of(`${block} tap ${j}`)))
    for (let j = 1; j < k; j++)
      next[`past ${layer} ${j}`] = j === 1 ? z : carried[`past ${layer} ${j - 1}`]!.ref

    const heads = np.transpose(v.reshape([n, h, w]), [1, 0, 2])
    const [gate, decayGate] = ['input', 'decay'].map((kind) =>
      nn.sigmoid(np.matmul(heads.ref, of(`${block} ${kind} w`)).add(of(`${block} ${kind} b`))),
    ) as [JaxArray, JaxArray]
    // On the first frame a decay of e^−huge removes the (empty) past and makes √(1 − a²) equal
    // to one.
    const a = np.exp(decayGate.mul(of(`${block}/rg_lru/decay`)).mul(first.ref.mul(1e6).add(1)))
    const s = a.ref
      .mul(carried[`s ${layer}`]!.ref)
      .add(np.sqrt(np.square(a).mul(-1).add(1)).mul(gate.mul(heads)))
    next[`s ${layer}`] = s.ref
    return x.add(
      dense(`${block}/linear_out`, np.transpose(s, [1, 0, 2]).reshape([n, e]).mul(gelu(y))),
    )
  }

  const spatialBlock = (layer: number, x: JaxArray, last: boolean): JaxArray => {
    const path = `encoder/encoderblock_${layer}`
    const attend = `${path}/MultiHeadDotProductAttention_0`
    const y = layerNorm(`${path}/LayerNorm_0`, x.ref)
    const rows = last ? 1 : n
    const row = (of: JaxArray) => (last ? of.slice([0, 1]) : of)
    const q = dense(`${attend}/query`, row(y.ref)).reshape([rows, h, r])
    const [key, value] = [
      dense(`${attend}/key`, y.ref).reshape([n, h, r]),
      dense(`${attend}/value`, y).reshape([n, h, r]),
    ]
    const after = row(x).add(
      dense(`${attend}/out`, nn.dotProductAttention(q, key, value).reshape([rows, d])),
    )
    const hidden = gelu(
      dense(`${path}/MlpBlock_0/Dense_0`, layerNorm(`${path}/LayerNorm_1`, after.ref)),
    )
    return after.add(dense(`${path}/MlpBlock_0/Dense_1`, hidden))
  }

  const [[gy, gx], [py, px]] = [gridOf(config), patchSize]
  const patches = np
    .transpose(pixels.reshape([gy, imageSize[0] / gy, gx, px * 3]), [0, 2, 1, 3])
    .reshape([n - 1, py * px * 3])
  let x = np.concatenate(
    [of('class token'), np.matmul(patches, of('tokenizer/embedding')).add(of('positions'))],
    0,
  )
  for (let layer = 0; layer < depth; layer++)
    x = spatialBlock(layer, temporalBlock(layer, x), layer === depth - 1)
  next['sum'] = carried['sum']!.ref.add(
    np.tanh(dense('decoder/pre_logits', layerNorm('encoder/encoder_norm', x))),
  )
  first.dispose()
  tree.dispose(carried)
  return next
}

/**
 * Returns the logits of a video [1, c].
 * @param known the weights; they are not freed
 * @param sum the carried array `sum`; freed
 * @param count number of frames, [1]; freed
 */
export function logitsOf(known: Arrays, sum: JaxArray, count: JaxArray): JaxArray {
  return denseOf(known, 'decoder/cls_head', sum.div(count))
}

function denseOf(known: Arrays, name: string, x: JaxArray): JaxArray {
  return np.matmul(x, known[`${name}/kernel`]!.ref).add(known[`${name}/bias`]!.ref)
}

/** Returns every weight as an array. Weights of products with the same input are separated. */
export function constantsOf(config: Config, weights: Weights): Arrays {
  const { width: d, lruWidth: e, numHeads: h, mlpDim: m, depth, repSize, patchSize } = config
  const k = config.conv1dTemporalWidth
  const n = tokensOf(config)
  const w = e / h
  const weight = (name: string) => weights.get(name)!
  const known: Arrays = {}
  const dense = (to: string, name: string, inputs: number, outputs: number, from = 0) => {
    known[`${to}/kernel`] = arrayOf(
      takeColumns(weight(`${name}/kernel`), inputs, from, outputs),
      inputs,
      outputs,
    )
    known[`${to}/bias`] = arrayOf(takeColumns(weight(`${name}/bias`), 1, from, outputs), outputs)
  }
  const vectors = (size: number, ...names: string[]) =>
    names.forEach((name) => (known[name] = arrayOf(weight(name), size)))
  for (let layer = 0; layer < depth; layer++) {
    const temporal = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${temporal}/recurrent_block`
    known[`${temporal}/temporal_pre_norm/scale`] = arrayOf(
      weight(`${temporal}/temporal_pre_norm/scale`).map((value) => 1 + value),
      d,
    )
    dense(`${block}/y`, `${block}/linear_yx`, d, e)
    dense(`${block}/z`, `${block}/linear_yx`, d, e, e)
    vectors(e, `${block}/conv_1d/b`)
    for (let j = 0; j < k; j++)
      known[`${block} tap ${j}`] = arrayOf(
        weight(`${block}/conv_1d/w`).slice((k - 1 - j) * e, (k - j) * e),
        e,
      )
    for (const [kind, from] of [
      ['input', 0],
      ['decay', w],
    ] as const) {
      known[`${block} ${kind} w`] = arrayOf(
        takeColumns(weight(`${block}/rg_lru/gates/w`), e, from, w),
        h,
        w,
        w,
      )
      known[`${block} ${kind} b`] = arrayOf(
        takeColumns(weight(`${block}/rg_lru/gates/b`), h, from, w),
        h,
        1,
        w,
      )
    }
    known[`${block}/rg_lru/decay`] = arrayOf(weight(`${block}/rg_lru/decay`), h, 1, w)
    dense(`${block}/linear_out`, `${block}/linear_out`, e, d)
    const spatial = `encoder/encoderblock_${layer}`
    const attend = `${spatial}/MultiHeadDotProductAttention_0`
    for (const name of ['LayerNorm_0', 'LayerNorm_1'])
      vectors(d, `${spatial}/${name}/scale`, `${spatial}/${name}/bias`)
    dense(`${attend}/query`, `${attend}/query`, d, d)
    dense(`${attend}/key`, `${attend}/key_value`, d, d)
    dense(`${attend}/value`, `${attend}/key_value`, d, d, d)
    dense(`${attend}/out`, `${attend}/out`, d, d)
    dense(`${spatial}/MlpBlock_0/Dense_0`, `${spatial}/MlpBlock_0/Dense_0`, d, m)
    dense(`${spatial}/MlpBlock_0/Dense_1`, `${spatial}/MlpBlock_0/Dense_1`, m, d)
  }
  vectors(d, 'encoder/encoder_norm/scale', 'encoder/encoder_norm/bias')
  dense('decoder/pre_logits', 'decoder/pre_logits', d, repSize)
  dense('decoder/cls_head', 'decoder/cls_head', repSize, config.numClasses)
  const table = weight('tokenizer/table')
  known['class token'] = arrayOf(table.slice(0, d), 1, d)
  known['positions'] = arrayOf(table.slice(d), n - 1, d)
  known['tokenizer/embedding'] = arrayOf(
    weight('tokenizer/embedding'),
    patchSize[0] * patchSize[1] * 3,
    d,
  )
  return known
}
