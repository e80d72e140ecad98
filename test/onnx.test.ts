/**
 * The structure of .onnx files. platforms/onnx.mjs compares the results of onnxruntime with the
 * goldens.
 */
import { expect, test } from 'vitest'
import { randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf } from '../src/model/config.ts'
import { recordEncoder, recordTokens } from '../src/model/encoder/graph.ts'
import { encoderTensors } from '../src/model/encoder/tensors.ts'
import { recordModel } from '../src/model/graph.ts'
import { Graph } from '../src/onnx/graph.ts'
import { type ModelOptions, writeModel } from '../src/onnx/model.ts'
import { writeProgram } from '../src/onnx/program.ts'
import { Message } from '../src/onnx/protobuf.ts'
import { collectWeights, takeColumns } from '../src/onnx/weights.ts'
import { sizeOf, type Tensor } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { type OnnxFile, readOnnx } from './onnxFile.ts'

const config = configOf('mu', {
  depth: 2,
  imageSize: [32, 48],
  mlpDim: 20,
  useMlp: true,
  repSize: 8,
  numClasses: 3,
})
const weights = await collectWeights(randomCheckpoint(config, 1), config)

function write(options: Partial<ModelOptions> = {}, changes: Partial<typeof config> = {}) {
  const graph = writeModel({ ...config, ...changes }, weights, {
    graph: 'step',
    frames: 1,
    dtype: 'f32',
    ...options,
  })
  return readOnnx(graph.encode('1.2.3', { text: 'text', metadata: { a: 'b' } }).encode())
}

/** Asserts that nodes are in order, names are unique, and every result is used. */
function expectSound({ nodes, constants, inputs, outputs }: OnnxFile): void {
  const known = new Set<string>([...Object.keys(inputs), ...constants.map(({ name }) => name)])
  expect(known.size).toBe(Object.keys(inputs).length + constants.length)
  const used = new Set(Object.keys(outputs))
  for (const { name, inputs: from, outputs: to } of nodes) {
    for (const input of from) {
      expect(known, `input of node "${name}"`).toContain(input)
      used.add(input)
    }
    for (const output of to) {
      expect(known, `output of node "${name}"`).not.toContain(output)
      known.add(output)
    }
  }
  expect(new Set(nodes.map(({ name }) => name)).size).toBe(nodes.length)
  const unused = nodes.filter(({ outputs }) => !outputs.some((output) => used.has(output)))
  expect(unused.map(({ name }) => name)).toEqual([])
  for (const name of [...Object.keys(inputs), ...constants.map(({ name }) => name)])
    expect(used).toContain(name)
  const bytes = { 1: 4, 7: 8, 10: 2 } as Record<number, number>
  for (const { name, shape, type, data } of constants)
    expect(data.length, name).toBe(sizeOf(shape) * bytes[type]!)
}

const cases: readonly [Partial<ModelOptions>, Partial<typeof config>?][] = [
  [{}],
  [{ frames: 3 }],
  [{ dtype: 'f16' }],
  [{ attention: 'fused' }],
  [{ graph: 'clip', frames: 4 }],
  [{ graph: 'clip', frames: 2, dtype: 'f16' }],
  [{}, { numClasses: 0 }],
  [
    { graph: 'clip', frames: 2 },
    { poolType: 'gap', posemb: 'sincos2d' },
  ],
]
test.each(cases)('%o %o is a valid graph of standard operators', (options, changes) => {
  const file = write(options, changes)
  expectSound(file)
  const ort = options.attention === 'fused' ? { 'com.microsoft': 1 } : {}
  expect(file.opsets).toEqual({ '': 20, ...ort })
  const foreign = file.nodes.filter(({ domain }) => domain).map(({ op }) => op)
  expect([...new Set(foreign)]).toEqual(ort['com.microsoft'] ? ['MultiHeadAttention'] : [])
  expect(file).toMatchObject({ irVersion: 9, producer: 'trecvit', text: 'text' })
  expect(file.metadata).toEqual({ a: 'b' })
})

test('the states of a step are those of the program, and the frames since the reset', () => {
  const { inputs, outputs } = write({ frames: 2 })
  const { states } = recordModel(config, {
    b: 1,
    t: 2,
    pixels: 'f32',
    recent: 'all',
    encoded: false,
  })
  const shapes = { frames: [1], ...Object.fromEntries(states.map((s) => [s.name, [...s.shape]])) }
  expect(inputs).toEqual({ pixels: [1, 2, 32, 48, 3], ...shapes })
  expect(Object.keys(outputs).slice(0, 2)).toEqual(['logits', 'probs'])
  expect(outputs).toEqual({
    logits: [1, 3],
    probs: [1, 3],
    ...Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`next/${name}`, shape])),
  })
})

test('a convolution of one tap has no state', () => {
  const one = { ...config, conv1dTemporalWidth: 1 }
  const graph = writeModel(one, weights, { graph: 'step', frames: 1, dtype: 'f32' })
  const names = graph.inputs.map(({ name }) => name)
  expect(names.filter((name) => name.includes('conv_1d'))).toEqual([])
})

test('a clip has no state, and an encoder gives its tokens', () => {
  const clip = write({ graph: 'clip', frames: 4 })
  expect(clip.inputs).toEqual({ pixels: [1, 4, 32, 48, 3] })
  expect(clip.outputs).toEqual({ logits: [1, 3], probs: [1, 3] })
  const encoder = write({ graph: 'clip', frames: 4 }, { numClasses: 0 })
  expect(encoder.outputs).toEqual({ encoded: [1, 4, 7, 32] })
})

test.each([
  ['all tokens', 9],
  ['the query tokens', 3],
])('a program of another model is written with its inputs; its encoder gives %s', (_, count) => {
  const { numClasses, repSize, framesPerClip, poolType, ...shared } = config
  const encoder = { ...shared, classToken: false, queryTokens: 3 }
  const table = encoderTensors(encoder, 'f32').weights
  const values = new Map(
    table.map(({ name, blocks, rows, columns }) => [
      name,
      new Float32Array(blocks * rows * columns),
    ]),
  )
  const ops = new Recorder(1, 2, new Map(table.map((weight) => [weight.name, weight])))
  const tokens = recordTokens(ops, encoder, ops.pixels(...encoder.imageSize, 'f32'))
  const select = (x: Tensor) => ops.tokens(x, 0, count)
  const program = ops.end({ encoded: recordEncoder(ops, encoder, tokens, select) })
  const graph = writeProgram(program, values, {
    stateful: true,
    dtype: 'f32',
    attention: 'plain',
    outputs: { encoded: 'tokens' },
  })
  const file = readOnnx(graph.encode('1.2.3').encode())
  expectSound(file)
  const n = 3 + 2 * 3
  expect(file.inputs).toMatchObject({ pixels: [1, 2, 32, 48, 3], queries: [1, 2, n, 32] })
  expect(file.outputs['encoded']).toEqual([1, 2, count, 32])
})

test('matrices are constants with the values of their columns, in f32 or f16', () => {
  const name = 'encoder/residualblock_00/recurrent_block/linear_yx/kernel'
  const { width: d, lruWidth: e } = config
  for (const dtype of ['f32', 'f16'] as const) {
    const { constants } = write({ dtype })
    const part = constants.find((constant) => constant.name === `${name} ${e}..${2 * e - 1}`)!
    expect(part).toMatchObject({ shape: [d, e], type: dtype === 'f16' ? 10 : 1 })
    if (dtype === 'f32') {
      const want = takeColumns(weights.get(name)!, d, e, e)
      expect(new Float32Array(part.data.slice().buffer)).toEqual(want)
    }
    const others = constants.filter(({ name }) => name.endsWith('/b') || name.endsWith('/bias'))
    expect(new Set(others.map(({ type }) => type))).toEqual(new Set([1]))
  }
})

test('only an average over all frames can be written', () => {
  const options = { b: 1, t: 1, pixels: 'f32', recent: 'window', encoded: false } as const
  const style = { stateful: true, dtype: 'f32', attention: 'plain' } as const
  expect(() =>
    writeProgram(recordModel(config, options), weights, {
      ...style,
      outputs: { 'recent/logits': 'last' },
    }),
  ).toThrow("ONNX expected an average over 'all' frames, got 'window'")
})

test('a model of more than 2 GiB is refused before its values are made', () => {
  const graph = new Graph()
  for (const name of ['a', 'b'])
    graph.constant(name, [1 << 15, 1 << 13], () => expect.fail('values were asked for'))
  expect(() => graph.encode('1.2.3')).toThrow(
    'The ONNX model has 2.1 GB, expected at most 2.1 GB; use dtype f16',
  )
})

test('chunks are the message, and make large fields only when they are reached', () => {
  const made: number[] = []
  const large = (length: number) => ({
    length,
    make: () => new Uint8Array(length).fill(made.push(length)),
  })
  const message = new Message()
    .int(1, -1)
    .message(2, new Message().bytes(3, large(100_000)).string(4, 'x'))
    .bytes(5, large(200_000))
  const chunks = message.chunks()
  expect(chunks.next().value!.length).toBeLessThan(100)
  expect(made).toEqual([])
  expect(chunks.next().value!.length).toBe(100_000)
  expect(made).toEqual([100_000])
  const bytes = message.encode()
  expect(bytes.length).toBe(message.length)
  expect([...bytes.subarray(0, 12)]).toEqual([8, ...Array(9).fill(255), 1, 0x12])
})
