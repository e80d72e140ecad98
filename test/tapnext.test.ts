/**
 * TAPNext as data: the encoder of TRecViT with another configuration, query tokens as an input of
 * the stream, and two heads. Weights are random. The expected results are computed in float64.
 */
import { describe, expect, test } from 'vitest'
import type { Backend, StreamState } from '../src/backend/backend.ts'
import type { EncoderConfig } from '../src/model/config.ts'
import { recordEncoder, recordTokens } from '../src/model/encoder/graph.ts'
import { encoderTensors } from '../src/model/encoder/tensors.ts'
import { dense, layerNorm } from '../src/model/layers.ts'
import { TensorTable, type WeightSource } from '../src/model/tensorTable.ts'
import { outputsOf, type Program, sizeOf, type Tensor } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { backends, tagsOfModel } from './backends.ts'
import { noise } from './ops.ts'
import { ReferenceBackend } from './reference.ts'

/** TAPNext-B for q points (model.md §10): e = d, a gated MLP, no class token. */
const tapnext = (queryTokens: number): EncoderConfig => ({
  width: 768,
  depth: 12,
  mlpDim: 3072,
  numHeads: 12,
  imageSize: [256, 256],
  patchSize: [8, 8],
  conv1dTemporalWidth: 4,
  lruWidth: 768,
  posemb: 'learn',
  useMlp: true,
  classToken: false,
  queryTokens,
})

/** Widths of the layers of the heads: 2×256 bins for the coordinates, and one for visibility. */
const heads = { coordinates: [256, 256, 512], visible: [256, 256, 1] } as const

/** Heads of TAPNext: nn.Dense, nn.LayerNorm and gelu, twice, then nn.Dense. */
function headTensors({ width }: EncoderConfig): TensorTable {
  const table = new TensorTable('f32')
  for (const [head, widths] of Object.entries(heads)) {
    let inputs = width
    widths.forEach((outputs, layer) => {
      table.dense(`${head}/${layer}`, [inputs], [outputs])
      if (layer < widths.length - 1) table.layerNorm(`${head}/${layer}/norm`, outputs)
      inputs = outputs
    })
  }
  // gelu of a norm: a product with the identity matrix, which is exact.
  table.weight('matrix', 'identity', [1, 256, 256])
  return table
}

function recordHead(ops: Recorder, head: keyof typeof heads, encoded: Tensor): Tensor {
  const last = heads[head].length - 1
  let x = encoded
  for (let layer = 0; layer < last; layer++) {
    const path = `${head}/${layer}`
    const norm = layerNorm(ops, `${path}/norm`, dense(ops, path, x, path))
    x = ops.linear(`${path}/gelu`, norm, 'identity', { activation: 'gelu' })
  }
  return dense(ops, head, x, `${head}/${last}`)
}

function record(
  config: EncoderConfig,
  b: number,
  t: number,
): { weights: readonly WeightSource[]; program: Program } {
  const weights = [...encoderTensors(config, 'f32').weights, ...headTensors(config).weights]
  const ops = new Recorder(b, t, new Map(weights.map((weight) => [weight.name, weight])))
  const pixels = ops.pixels(...config.imageSize, 'f32')
  // The heads read the query tokens of every frame.
  const points = (tokens: Tensor) => ops.tokens(tokens, 0, config.queryTokens)
  const encoded = recordEncoder(ops, config, recordTokens(ops, config, pixels), points)
  const coordinates = recordHead(ops, 'coordinates', encoded)
  const visible = recordHead(ops, 'visible', encoded)
  return { weights, program: ops.end({ coordinates, visible }) }
}

/**
 * Returns the query tokens. On the first frame: the learned token plus sin xω, cos xω, sin yω, cos
 * yω of a point. On later frames: a learned mask token, because the model searches for the point.
 * @param points [x, y] in patches
 */
function queriesOf(
  { width: d, queryTokens }: EncoderConfig,
  points: readonly (readonly [number, number])[],
  n: number,
  t: number,
  learned: Float32Array,
  mask: Float32Array,
): Float32Array {
  const quarter = d / 4
  const queries = new Float32Array(t * n * d)
  for (let frame = 0; frame < t; frame++) {
    for (let token = 0; token < queryTokens; token++) {
      const own = queries.subarray((frame * n + token) * d, (frame * n + token + 1) * d)
      own.set(frame === 0 ? learned : mask)
      if (frame > 0) continue
      for (let j = 0; j < quarter; j++) {
        const omega = 10000 ** (-j / (quarter - 1))
        points[token]!.forEach((at, axis) => {
          own[2 * axis * quarter + j]! += Math.sin(at * omega)
          own[(2 * axis + 1) * quarter + j]! += Math.cos(at * omega)
        })
      }
    }
  }
  return queries
}

/** Sets random weights with the variance of a trained model. */
function fill(backend: Backend, weights: readonly WeightSource[]): void {
  for (const [index, weight] of weights.entries()) {
    const { name, kind, blocks, rows, columns } = weight
    const size = blocks * rows * columns
    let values = noise(size, index, kind === 'matrix' ? Math.sqrt(3 / rows) : 0.5)
    if (name === 'identity') values = values.map((_, i) => (i % (columns + 1) === 0 ? 1 : 0))
    if (name.endsWith('decay')) values = values.map((value) => -Math.abs(value))
    backend.write(weight, values, 0, columns, 0)
  }
}

test('has the shapes of the paper for 8 points', () => {
  const { program, weights } = record(tapnext(8), 1, 1)
  const n = 8 + 32 * 32
  const shapes = Object.fromEntries(
    program.steps.map((step) => [step.name, outputsOf(step)[0]!.shape]),
  )
  expect(program.inputs['pixels']!.shape).toEqual([1, 1, 256, 256, 3])
  expect(program.inputs['queries']!.shape).toEqual([1, 1, n, 768])
  expect(shapes['tokenizer/patches']).toEqual([1, 1, n, 192])
  expect(shapes['encoder/residualblock_11/mlp_block/gate']).toEqual([1, 1, n, 3072])
  expect(shapes['encoded']).toEqual([1, 1, 8, 768])
  expect(shapes['coordinates']).toEqual([1, 1, 8, 512])
  expect(shapes['visible']).toEqual([1, 1, 8, 1])
  expect(program.states.length).toBe(24)
  expect(program.states[0]!.shape).toEqual([1, 3, n, 768])
  expect(program.states[1]!.shape).toEqual([1, n, 768])
  const parameters = encoderTensors(tapnext(8), 'f32').parameters.map(({ shape }) => sizeOf(shape))
  // 12 layers of LRU (e = d), gated MLP and ViT block, positions of 1024 patches, two norms.
  expect(parameters.reduce((sum, size) => sum + size) / 1e6).toBeCloseTo(193.6, 0)
  expect(weights.find(({ name }) => name === 'tokenizer/table')!.rows).toBe(n)
})

/** Enough points that a GPU uses the same kernels for one frame and for several. */
const points = Array.from({ length: 9 }, (_, i) => [0.75 * (i % 4), i / 4] as const)

describe.each(backends)('$name', ({ create, unit, name }) => {
  const tags = tagsOfModel({ name })
  test('tracks equal the float64 ones, as one chunk and frame by frame', { tags }, async () => {
    const config: EncoderConfig = {
      ...tapnext(points.length),
      width: 32,
      lruWidth: 32,
      mlpDim: 48,
      numHeads: 4,
      depth: 2,
      imageSize: [24, 32],
    }
    const t = 3
    const n = points.length + 12
    const { weights, program } = record(config, 1, t)
    const single = record(config, 1, 1).program
    const pixels = noise(sizeOf(program.inputs['pixels']!.shape), 1000)
    const queries = queriesOf(config, points, n, t, noise(32, 1001), noise(32, 1002))

    const run = async (backend: Backend, chunks: readonly Program[], tokens = queries) => {
      const state: StreamState = await backend.createState(program.states)
      const answers: Record<string, number[]> = { coordinates: [], visible: [] }
      let frame = 0
      for (const chunk of chunks) {
        const part = (values: Float32Array) => {
          const size = values.length / t
          return values.subarray(frame * size, (frame + chunk.t) * size)
        }
        const replay = await backend.prepare(chunk)
        const inputs = { pixels: part(pixels), queries: part(tokens) }
        const outputs = await replay.run(state, frame, inputs)
        for (const [name, values] of Object.entries(outputs)) answers[name]!.push(...values)
        replay.dispose()
        frame += chunk.t
      }
      state.dispose()
      return answers
    }
    const [reference, backend] = [new ReferenceBackend(weights), await create(weights)]
    fill(reference, weights)
    fill(backend, weights)
    const want = await run(reference, [program])
    expect(
      await run(
        reference,
        [program],
        queries.map(() => 0),
      ),
    ).not.toEqual(want)
    const whole = await run(backend, [program])
    const frames = await run(backend, [single, single, single])
    backend.dispose()
    for (const name of Object.keys(heads)) {
      const largest = Math.max(...want[name]!.map(Math.abs))
      for (const got of [whole, frames]) {
        const error = Math.max(...got[name]!.map((value, i) => Math.abs(value - want[name]![i]!)))
        // On the CPU 1e-5, as for the golden models.
        expect(error / largest).toBeLessThan(168 * unit)
      }
    }
    expect(frames).toEqual(whole)
  })
})
