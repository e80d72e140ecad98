import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import type { Tensor } from '@tensorflow/tfjs-core'
import { type Config, gridOf, tokensOf } from '../../src/model/config.ts'
import { takeColumns, type Weights } from '../../src/onnx/weights.ts'
import type { Peer } from './peer.ts'

/**
 * Opens a stream in TensorFlow.js on its WebAssembly backend. There is no graph to compile, so it
 * runs operation by operation, in the forms that are fastest there: bias within the product;
 * products head by head without a transposition, because any other is about eight times as slow;
 * gelu by a sigmoid, because its tanh is twenty times as slow; the inputs of conv1d as one tensor
 * per frame; the last block with the class token only.
 */
export async function openTfjs(config: Config, weights: Weights, threads: number): Promise<Peer> {
  const require = createRequire(import.meta.url)
  const tf = require('@tensorflow/tfjs-core') as typeof import('@tensorflow/tfjs-core')
  const wasm =
    require('@tensorflow/tfjs-backend-wasm') as typeof import('@tensorflow/tfjs-backend-wasm')
  wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  wasm.setThreadsCount(threads)
  if (!(await tf.setBackend('wasm')))
    throw new Error('TensorFlow.js cannot start its WebAssembly backend')
  await tf.ready()

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
  const n = tokensOf(config)
  const [r, w] = [d / h, e / h]
  const known = new Map<string, Tensor>()
  /** Returns a constant, made on first use. */
  const constant = (name: string, make: () => Float32Array, shape: number[]): Tensor => {
    if (!known.has(name)) known.set(name, tf.keep(tf.tensor(make(), shape)))
    return known.get(name)!
  }
  const weight = (name: string, ...shape: number[]) =>
    constant(name, () => weights.get(name)!, shape)
  const part = (name: string, rows: number, from: number, count: number, shape: number[]) =>
    constant(`${name} ${from}`, () => takeColumns(weights.get(name)!, rows, from, count), shape)
  /** x [rows, inputs]·kernel + bias, with the columns from..from+outputs−1. */
  const dense = (name: string, x: Tensor, inputs: number, outputs: number, from = 0): Tensor =>
    tf.fused.matMul({
      a: x as never,
      b: part(`${name}/kernel`, inputs, from, outputs, [inputs, outputs]) as never,
      bias: part(`${name}/bias`, 1, from, outputs, [outputs]),
    })
  /** x·(1 + tanh(z)) / 2 = x·sigmoid(2z). */
  const gelu = (x: Tensor): Tensor => {
    const twice = 2 * Math.sqrt(2 / Math.PI)
    return tf.mul(x, tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), 0.044715 * twice), twice))))
  }
  const rmsNorm = (name: string, x: Tensor): Tensor => {
    const scale = constant(name, () => weights.get(`${name}/scale`)!.map((value) => 1 + value), [d])
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-6))), scale)
  }
  const layerNorm = (name: string, x: Tensor): Tensor => {
    const centred = tf.sub(x, tf.mean(x, -1, true))
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-6))
    return tf.add(
      tf.mul(tf.mul(centred, inverse), weight(`${name}/scale`, d)),
      weight(`${name}/bias`, d),
    )
  }
  /** Applies a function to the columns of each head, and joins the results. */
  const byHead = (
    size: number,
    of: (columns: (x: Tensor) => Tensor, head: number) => Tensor,
  ): Tensor =>
    tf.concat(
      Array.from({ length: h }, (_, head) =>
        of((x) => tf.slice(x, [0, head * size], [x.shape[0]!, size]), head),
      ),
      1,
    )

  let frame = 0
  /**
   * State from frame to frame: for each layer the inputs of conv1d, newest first, and the
   * recurrence; the sum of features.
   */
  const past = Array.from({ length: depth }, () =>
    Array.from({ length: k - 1 }, () => tf.keep(tf.zeros([n, e]))),
  )
  const states: Tensor[] = []
  let sum: Tensor = tf.keep(tf.zeros([1, repSize]))

  function temporalBlock(layer: number, x: Tensor): Tensor {
    const path = `encoder/residualblock_${String(layer).padStart(2, '0')}`
    const block = `${path}/recurrent_block`
    const u = rmsNorm(`${path}/temporal_pre_norm`, x)
    const [y, z] = [dense(`${block}/linear_yx`, u, d, e), dense(`${block}/linear_yx`, u, d, e, e)]
    const tap = (j: number) =>
      constant(
        `${block} tap ${j}`,
        () => weights.get(`${block}/conv_1d/w`)!.slice((k - 1 - j) * e, (k - j) * e),
        [e],
      )
    const window = [z, ...past[layer]!]
    const v = window.reduce(
      (total: Tensor, input, j) => tf.add(total, tf.mul(input, tap(j))),
      weight(`${block}/conv_1d/b`, e),
    )
    tf.keep(z)
    past[layer] = window.slice(0, k - 1)
    window[k - 1]!.dispose()

    const [gate, decayGate] = [0, w].map((from) =>
      tf.sigmoid(
        byHead(w, (columnsOf, head) =>
          tf.fused.matMul({
            a: columnsOf(v) as never,
            b: constant(
              `${block} gate ${from} ${head}`,
              () =>
                takeColumns(weights.get(`${block}/rg_lru/gates/w`)!, e, from, w).slice(
                  head * w * w,
                  (head + 1) * w * w,
                ),
              [w, w],
            ) as never,
            bias: constant(
              `${block} gate bias ${from} ${head}`,
              () =>
                takeColumns(weights.get(`${block}/rg_lru/gates/b`)!, h, from, w).slice(
                  head * w,
                  (head + 1) * w,
                ),
              [w],
            ),
          }),
        ),
      ),
    ) as [Tensor, Tensor]
    let s = tf.mul(gate, v)
    if (frame > 0) {
      const a = tf.exp(tf.mul(decayGate, weight(`${block}/rg_lru/decay`, e)))
      s = tf.add(tf.mul(a, states[layer]!), tf.mul(tf.sqrt(tf.sub(1, tf.square(a))), s))
      states[layer]!.dispose()
    }
    states[layer] = tf.keep(s)
    return tf.add(x, dense(`${block}/linear_out`, tf.mul(s, gelu(y)), e, d))
  }

  function spatialBlock(layer: number, x: Tensor, last: boolean): Tensor {
    const path = `encoder/encoderblock_${layer}`
    const attend = `${path}/MultiHeadDotProductAttention_0`
    const y = layerNorm(`${path}/LayerNorm_0`, x)
    const row = (of: Tensor): Tensor => (last ? tf.slice(of, [0, 0], [1, d]) : of)
    const q = tf.mul(dense(`${attend}/query`, row(y), d, d), 1 / Math.sqrt(r))
    const [key, value] = [
      dense(`${attend}/key_value`, y, d, d),
      dense(`${attend}/key_value`, y, d, d, d),
    ]
    const context = byHead(r, (columnsOf) =>
      tf.matMul(
        tf.softmax(tf.matMul(columnsOf(q), tf.transpose(columnsOf(key)))),
        columnsOf(value),
      ),
    )
    const after = tf.add(row(x), dense(`${attend}/out`, context, d, d))
    const z = layerNorm(`${path}/LayerNorm_1`, after)
    return tf.add(
      after,
      dense(`${path}/MlpBlock_0/Dense_1`, gelu(dense(`${path}/MlpBlock_0/Dense_0`, z, d, m)), m, d),
    )
  }

  function step(pixels: Float32Array): Tensor {
    const [[gy, gx], [py, px]] = [gridOf(config), patchSize]
    const table = weights.get('tokenizer/table')!
    const patches = tf.reshape(
      tf.transpose(tf.tensor(pixels, [gy, imageSize[0] / gy, gx, px * 3]), [0, 2, 1, 3]),
      [n - 1, py * px * 3],
    )
    const embedded = tf.add(
      tf.matMul(patches, weight('tokenizer/embedding', py * px * 3, d)),
      constant('positions', () => table.slice(d), [n - 1, d]),
    )
    let x: Tensor = tf.concat(
      [constant('class token', () => table.slice(0, d), [1, d]), embedded],
      0,
    )
    for (let layer = 0; layer < depth; layer++)
      x = spatialBlock(layer, temporalBlock(layer, x), layer === depth - 1)
    const encoded = layerNorm('encoder/encoder_norm', x)
    const before = sum
    sum = tf.keep(tf.add(before, tf.tanh(dense('decoder/pre_logits', encoded, d, repSize))))
    before.dispose()
    return dense('decoder/cls_head', tf.div(sum, ++frame), repSize, c)
  }

  return {
    version: `${tf.version_core} (wasm)`,
    async advance(pixels) {
      const logits = tf.tidy(() => step(pixels))
      const values = (await logits.data()) as Float32Array
      logits.dispose()
      return values
    },
  }
}
