import type { NdArray } from '../src/base/array.ts'
import type { Config } from '../src/model/config.ts'
import { softplus } from '../src/model/math.ts'
import { attentionWeights } from './attentionWeights.ts'
import type { BackendUnderTest } from './backends.ts'
import { Goldens } from './goldens.ts'
import { rowsWeight, runOp } from './ops.ts'

/** A result, by the name of its golden array. */
export interface Probe extends NdArray<Float32Array> {
  readonly name: string
}

/**
 * Yields tensors of the reference that the program does not store, because they are inside a fused
 * step. Runs that step again with the traced inputs and without its later operations. For mu, which
 * has one layer.
 */
export async function* probes(
  create: BackendUnderTest['create'],
  config: Config,
  trace: ReadonlyMap<string, NdArray<Float32Array>>,
): AsyncGenerator<Probe> {
  const weights = await Goldens.open('mu.npz')
  const temporal = 'encoder/residualblock_00'
  const block = `${temporal}/recurrent_block`
  const lru = `${block}/rg_lru`
  const spatial = 'encoder/encoderblock_0'
  const attend = `${spatial}/MultiHeadDotProductAttention_0`
  const { lruWidth: e, numHeads: heads, width: d } = config
  const get = (name: string) => trace.get(name)!
  const [clips, t, n] = get('tokens').shape as [number, number, number]

  /** x·kernel + bias without activation. */
  async function linear(name: string, input: string, weight = name): Promise<Probe> {
    const { data, shape } = get(input)
    const k = shape[shape.length - 1]!
    const bias = weights.get(`${weight}/bias`).values
    const { output } = await runOp(create, {
      name,
      inputs: { x: { shape: [1, 1, data.length / k, k], values: data } },
      weights: {
        kernel: {
          kind: 'matrix',
          blocks: 1,
          rows: k,
          columns: bias.length,
          values: weights.get(`${weight}/kernel`).values,
        },
        bias: rowsWeight(1, bias.length, bias),
      },
      record: (ops, { x }) => ops.linear('op', x!, 'kernel', { bias: 'bias' }),
      bound: () => [],
    })
    return { name, data: output, shape: [...shape.slice(0, -1), bias.length] }
  }
  yield await linear(`${block}/linear_y`, `${temporal}/temporal_pre_norm`)
  yield await linear(`${block}/linear_out`, `${block}/joined`)
  yield await linear(`${attend}/out`, `${attend}/context`)
  yield await linear(`${spatial}/MlpBlock_0/Dense_0`, `${spatial}/LayerNorm_1`)
  yield await linear(`${spatial}/MlpBlock_0/Dense_1`, `${spatial}/MlpBlock_0/gelu`)
  const {
    data: features,
    shape: featureShape,
    name,
  } = await linear('decoder/pre_logits_linear', 'encoded', 'decoder/pre_logits')
  const rep = featureShape[3]!
  yield {
    name,
    data: features.filter((_, at) => Math.floor(at / rep) % n === 0),
    shape: [clips, t, rep],
  }
  const { data: embedded } = await linear('tokenizer/embedding', 'tokenizer/patches')
  // Without the row of the class token.
  yield {
    name: 'tokenizer/embedding',
    data: embedded.filter((_, at) => Math.floor(at / d) % n > 0),
    shape: [clips, t, n - 1, d],
  }

  /**
   * rgLru with y = 1, so that its output is s. All rows are tokens of one frame unless t is given.
   */
  async function state(given: {
    t?: number
    frame?: number
    s?: number
    v: Float32Array
    gates: Float32Array
  }): Promise<Float32Array> {
    const { t = 1, frame = 0, s = 0, v, gates } = given
    const rows = v.length / (t * e)
    const { output } = await runOp(create, {
      name: 'state',
      t,
      frame,
      states: [new Float32Array(rows * e).fill(s)],
      inputs: {
        v: { shape: [1, t, rows, e], values: v },
        gates: { shape: [1, t, rows, 2 * e], values: gates },
        y: { shape: [1, t, rows, e], values: v.map(() => 1) },
      },
      weights: {
        decay: rowsWeight(
          1,
          e,
          weights.get(`${lru}/a_param`).values.map((value) => -8 * softplus(value)),
        ),
      },
      record: (ops, inputs) =>
        ops.rgLru('op', inputs['v']!, inputs['gates']!, inputs['y']!, 'decay', heads),
      bound: () => [],
    })
    return output
  }
  const v = get(`${block}/conv_1d`).data
  const gates = get(`${lru}/gates`).data
  const width = e / heads
  const isInputGate = (at: number) => Math.floor(at / width) % 2 === 0
  const [zeros, ones] = [v.map(() => 0), v.map(() => 1)]
  const shape = get(`${block}/conv_1d`).shape
  // On a first frame with v = 1, s = γ. With exchanged gates, s = ρ.
  yield { name: `${lru}/gate_x`, data: await state({ v: ones, gates }), shape }
  yield {
    name: `${lru}/gate_a`,
    data: await state({
      v: ones,
      gates: gates.map((_, at) => gates[isInputGate(at) ? at + width : at - width]!),
    }),
    shape,
  }
  // With s = 1 before and v = 0, s = a. With s = 0 before, v = 1 and an open gate, s = √(1 − a²).
  yield { name: `${lru}/a`, data: await state({ frame: 1, s: 1, v: zeros, gates }), shape }
  const open = gates.map((gate, at) => (isInputGate(at) ? 200 : gate))
  yield {
    name: `${lru}/multiplier`,
    data: await resetFirst((frame) => state({ frame, v: ones, gates: open })),
    shape,
  }
  yield {
    name: `${lru}/normalized_x`,
    data: await resetFirst((frame) => state({ frame, v, gates })),
    shape,
  }
  yield { name: lru, data: await state({ t: t * clips, v, gates }), shape }

  /** Rows of the first frame after a reset, rows of the others without a reset. */
  async function resetFirst(run: (frame: number) => Promise<Float32Array>): Promise<Float32Array> {
    const [first, later] = [await run(0), await run(1)]
    return later.map((value, at) => (Math.floor(at / (n * e)) % t === 0 ? first[at]! : value))
  }

  const kv = get(`${attend}/key_value`).data
  const k = kv.filter((_, at) => at % (2 * d) < d)
  yield {
    name: `${attend}/weights`,
    data: await attentionWeights(create, {
      frames: clips * t,
      nq: n,
      n,
      heads,
      r: d / heads,
      q: get(`${attend}/query`).data,
      k,
    }),
    shape: [clips, t, heads, n, n],
  }
}
