/**
 * Int8 matrices on a GPU: for equal rows, the integers and their sums are those of the CPU, with
 * packed dot products and without them.
 */
import { describe, expect, test } from 'vitest'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { lower } from '../src/backend/webgpu/int8.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { weightBytes } from '../src/backend/webgpu/weightBuffers.ts'
import { quantize } from '../src/base/int8.ts'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { TRecViT } from '../src/index.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import { inferConfig } from '../src/model/infer.ts'
import { loadWeights } from '../src/model/load.ts'
import { weightTable } from '../src/model/weights.ts'
import {
  frameStrideOf,
  inputsOf,
  outputsOf,
  type Step,
  scalesOf,
  sizeOf,
  type Tensor,
  type Weight,
} from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { withMembers } from './faults.ts'
import { Goldens, goldenUrl } from './goldens.ts'
import { full, gpu, openDevice, wgsl } from './gpu.ts'
import { blockProblem, exact, problem } from './int8Products.ts'
import { models } from './models.ts'
import { noise, type OpCase, runOp } from './ops.ts'

/** Half the distance from 1 to the next number; 5 times for the quotient of a hardware GPU. */
const UNIT = 2 ** -24

/** Products around four integers in a number, tiles of 40 × 32, and rows of 1024 columns. */
const cases = [
  ...[1, 2, 3, 4, 5, 8, 13, 63, 64, 65, 129].map((k) => problem({ rows: 3, k, n: 9 })),
  ...[9, 40, 81].map((rows) => problem({ rows, k: 70, n: 12, bias: true })),
  ...[1, 31, 33].map((n) => problem({ rows: 9, k: 16, n, bias: true })),
  ...[3, 41].map((rows) => problem({ rows, k: 1030, n: 36, bias: true })),
  problem({ t: 2, rows: 5, k: 7, n: 8, add: true }),
  problem({ t: 3, rows: 15, k: 260, n: 36, bias: true, add: true }),
  ...[1, 3, 4, 5, 8, 13, 64, 65, 128].map((k) => blockProblem({ rows: 3, blocks: 2, k, n: 9 })),
  ...[1, 3, 5].map((blocks) => blockProblem({ rows: 41, blocks, k: 20, n: 36 })),
  ...[1, 2, 31, 34].map((n) => blockProblem({ rows: 1, blocks: 4, k: 6, n })),
  blockProblem({ t: 2, rows: 9, blocks: 5, k: 70, n: 10 }),
]

/** Rows of one integer step: their maxima have all kinds of quotients, and values lie at halves. */
const rows = 400
const halves = problem({
  rows,
  k: 16,
  n: 4,
  x: Float32Array.from({ length: rows * 16 }, (_, at) => {
    const largest = Math.fround((1 + Math.floor(at / 16) / rows) * 10 ** ((at >> 4) % 13))
    return at % 16 ? Math.fround((largest * ((at % 16) + 0.5)) / 127) : largest
  }),
})

const extremes = [
  problem({ rows: 2, k: 8, n: 9, x: new Float32Array(16), bias: true }),
  problem({ rows: 7, k: 4096, n: 9, x: new Float32Array(7 * 4096).fill(1) }),
  problem({ rows: 2, k: 5, n: 9, x: Float32Array.of(9e-37, 0, 0, 0, 0, 1e36, -2e35, 1e34, 1, 0) }),
  blockProblem({ rows: 1, blocks: 3, k: 2, n: 9, x: Float32Array.of(0, 0, 1e36, -1, 3e-5, 4) }),
]

/** Returns the largest error of a product in units of its bound: above 1 if an integer differs. */
async function errorOf(device: GPUDevice, features: readonly string[], op: OpCase) {
  const want = exact(op)
  const bias = op.weights!['bias']?.values
  const add = op.inputs['add']?.values
  const { blocks, columns: n } = op.weights!['kernel']!
  let worst = 0
  // Frames that are apart in memory are refused with an int8 kernel of blocks.
  const hasFrames = op.t! > 1 && blocks === 1
  for (const [gap, apart] of [[0, 0], [5, 0], ...(hasFrames ? [[0, 2]] : [])] as const) {
    const { output } = await runOp(
      (weights) => WebGpuBackend.create(device, weights, 'int8', { wgsl: features }),
      op,
      gap,
      apart,
    )
    want.forEach((value, at) => {
      const biased = Math.abs(value) + Math.abs(bias?.[at % (blocks * n)] ?? 0)
      const size = biased + Math.abs(add?.[at] ?? 0)
      const error = Math.abs(output[at]! - value) / (10 * UNIT * size + 2 ** -126)
      // NaN counts as an infinite error.
      worst = error <= worst ? worst : error >= 0 ? error : Infinity
    })
  }
  return worst
}

const variants = [
  ...(wgsl.length ? [{ name: 'packed dot products', features: wgsl, tags: ['gpu'] }] : []),
  { name: 'plain code', features: [], tags: ['gpu', 'slow'] },
]

describe.skipIf(!gpu).each(variants)('products by $name', async ({ features, tags }) => {
  const device = gpu ? await openDevice(full!) : undefined!

  // lavapipe 25 compiles one of these kernels for 20 s, and three times as long beside other tests.
  const options = { tags, concurrent: true, timeout: 240_000 }
  test.each([...cases, ...extremes])('$name', options, async (op) => {
    expect(await errorOf(device, features, op)).toBeLessThanOrEqual(1)
  })

  test('values between two integers, in rows of 400 maxima', { tags }, async () => {
    expect(await errorOf(device, features, halves)).toBeLessThanOrEqual(1)
  })
})

describe.skipIf(!gpu)('a planted fault is found', { tags: ['gpu', 'slow'] }, async () => {
  const device = gpu ? await openDevice(full!) : undefined!
  const tail = problem({ rows: 3, k: 70, n: 9 })
  const blocks = blockProblem({ rows: 3, blocks: 3, k: 70, n: 9 })
  const few = problem({ ...{ rows: 8, k: 16, n: 4 }, x: inputOf(halves).subarray(0, 8 * 16) })
  test.each([
    [
      'swapped bytes',
      '(bytes.y << 8u) | (bytes.z << 16u)',
      '(bytes.z << 8u) | (bytes.y << 16u)',
      tail,
    ],
    [
      'the maximum of one invocation',
      'largestOf(local, max(max(most.x, most.y), max(most.z, most.w)), 0u)',
      'max(max(most.x, most.y), max(most.z, most.w))',
      tail,
    ],
    ['the last k omitted', 'k < p.k; k += 128u', 'k + 4u <= p.k; k += 128u', tail],
    [
      'the scale of another row',
      'scaled(block, row, column',
      'scaled(block, row / 2u, column',
      tail,
    ],
    ['the scales of another block', 'p.k + block)', 'p.k + block / 2u)', blocks],
    [
      'the scale of another block of a row',
      'xRow(block, row) >> 2u',
      'xRow(0u, row) >> 2u',
      blocks,
    ],
    ['the kernel of another block', 'block * p.k * columns', 'block / 2u * p.k * columns', blocks],
    ['another block of x', '4u + 4u)', '4u)', blocks],
    ['the scale of a row as integers', 'WHOLE || 4u * quad < p.k', 'true', blocks],
    ['halves rounded up', 'round(v)', 'floor(v + 0.5)', few],
    [
      'a quotient one unit off',
      'inverseOf(largest);',
      'bitcast<f32>(bitcast<u32>(inverseOf(largest)) + 1u);',
      few,
    ],
  ])('%s', async (_, part, by, op) => {
    let replaced = false
    const faulty = withMembers(device, {
      createShaderModule: ({ code, ...rest }: GPUShaderModuleDescriptor) => {
        replaced ||= code.includes(part)
        return device.createShaderModule({ ...rest, code: code.replace(part, by) })
      },
    })
    expect(await errorOf(device, wgsl, op)).toBeLessThanOrEqual(1)
    expect(await errorOf(faulty, wgsl, op)).toBeGreaterThan(1)
    expect(replaced).toBe(true)
  })
})

describe.skipIf(!gpu).each(models)('$name', { tags: ['gpu', 'slow'] }, ({ name, given }) => {
  test('each product of a clip is that of the CPU, from the rows that the GPU has', async () => {
    const checkpoint = await openCheckpoint(goldenUrl(`${name}.npz`))
    const config = inferConfig(checkpoint.name, checkpoint.tensors, given)
    const table = weightTable(config, 'int8')
    const device = await openDevice(full!)
    const backend = await WebGpuBackend.create(device, table, 'int8', { wgsl })
    const cpu = await WasmBackend.create(table)
    await loadWeights(checkpoint, config, backend, { dtype: 'int8' })
    await loadWeights(checkpoint, config, cpu, { dtype: 'int8' })
    const options = { b: 1, t: 2, pixels: 'u8', recent: 'all', encoded: true } as const
    const program = recordModel(config, { ...options, dtype: 'int8' })
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states)
    const size = sizeOf(program.inputs['pixels']!.shape)
    const { values } = (await Goldens.open(`${name}_io.npz`)).get('video')
    let products = 0
    const pixels = Uint8Array.from(values.subarray(0, size))
    const isInt8 = (step: Step): step is Product => 'scales' in step.weights
    const used = program.steps.filter(isInt8).flatMap(inputsOf)
    // Inputs are read when they are written: the plan may overwrite them in the step itself.
    const known = new Map<Tensor, Float32Array>()
    await replay.run(state, 0, { pixels }, async (step, _, read) => {
      for (const tensor of used)
        if (outputsOf(step).some(({ buffer }) => buffer === tensor.buffer))
          known.set(tensor, await read(tensor))
      if (!isInt8(step)) return
      products++
      const inputs = Object.entries(step.inputs as Record<string, Tensor | undefined>)
      const given = inputs.flatMap(([role, tensor]) =>
        tensor ? [[role, known.get(tensor)!] as const] : [],
      )
      const want = await stepOn(cpu, table, step, new Map(given))
      const got = await read(step.outputs.out)
      const largest = Math.max(...want.map(Math.abs))
      const error = Math.max(...got.map((value, at) => Math.abs(value - want[at]!)))
      expect(error / largest, step.name).toBeLessThan(1e-5)
    })
    expect(products).toBe(8 * config.depth)
    for (const part of [replay, state, backend, cpu]) part.dispose()
    await checkpoint.close()
  })

  test('loads on the GPU; its logits are near those of the CPU', async () => {
    const { shape, values } = (await Goldens.open(`${name}_io.npz`)).get('video')
    const video = { data: Uint8Array.from(values), shape }
    const logitsOf = async (options: object) => {
      await using model = await TRecViT.load(goldenUrl(`${name}.npz`), {
        ...{ config: given, dtype: 'int8' as const },
        ...options,
      })
      expect(model.dtype).toBe('int8')
      return [model.device, (await model.forward(video)).logits.data] as const
    }
    const [, want] = await logitsOf({ device: 'wasm', deterministic: true })
    const [device, got] = await logitsOf({ device: 'webgpu', gpu: gpu! })
    expect(device).toMatchObject({ backend: 'webgpu', reason: null })
    expect(device.gpu!.features).toEqual(expect.arrayContaining([...wgsl]))
    const error = Math.max(...want.map((value, at) => Math.abs(value - got[at]!)))
    const relative = error / Math.max(...want.map(Math.abs))
    console.log(`${name}: int8 on the GPU is ${relative.toExponential(1)} off the CPU`)
    // An integer that differs, because a value was next to a half, costs up to 5e-3.
    expect(relative).toBeLessThan(1e-2)
  })
})

type Product = Extract<Step, { op: 'linear' | 'blockLinear' }>

/** Runs a step of a model on its backend, with other inputs. */
async function stepOn(
  backend: WasmBackend,
  table: readonly Weight[],
  step: Product,
  values: ReadonlyMap<string, Float32Array>,
): Promise<Float32Array> {
  const ops = new Recorder(1, 1, new Map(table.map((weight) => [weight.name, weight])))
  const inputs = new Map(
    [...values].map(([role, { length }]) => {
      const { shape } = (step.inputs as Record<string, Tensor>)[role]!
      const columns = shape[shape.length - 1]!
      return [role, ops.input(role, [1, 1, length / columns, columns])]
    }),
  )
  const { kernel, bias } = step.weights
  const x = inputs.get('x')!
  const out =
    step.op === 'blockLinear'
      ? ops.blockLinear('op', x, kernel.name, bias!.name)
      : ops.linear('op', x, kernel.name, {
          ...step.params,
          ...(bias && { bias: bias.name }),
          ...(inputs.has('multiply') && { multiply: inputs.get('multiply')! }),
          ...(inputs.has('add') && { add: inputs.get('add')! }),
        })
  const program = ops.end({ out })
  const replay = await backend.prepare(program)
  const state = await backend.createState([])
  const outputs = await replay.run(state, 0, Object.fromEntries(values))
  for (const part of [replay, state]) part.dispose()
  return outputs['out']!
}

const inputOf = ({ inputs }: OpCase) => inputs['x']!.values as Float32Array

test('products with the same rows share their integers', () => {
  const config = configOf('mu', { useMlp: true })
  const options = { b: 2, t: 3, pixels: 'u8', recent: 'all', encoded: true } as const
  const program = recordModel(config, { ...options, dtype: 'int8' })
  const { program: lowered, origins } = lower(program)
  const count = (steps: readonly { op: string }[], op: string) =>
    steps.filter((step) => step.op === op).length
  // Per layer: linear_yx, the gates, linear_out, gate and up, ffw_down, key_value and query, out,
  // two of MLP.
  expect(count(lowered.steps, 'quantize')).toBe(9 * config.depth)
  expect(count(lowered.steps, 'linear')).toBe(count(program.steps, 'linear'))
  expect([...new Set(origins)]).toEqual(program.steps)
  // If only the class token is read, the query of the last block reads a row of those of key_value.
  const one = recordModel(config, { ...options, encoded: false, dtype: 'int8' })
  expect(count(lower(one).program.steps, 'quantize')).toBe(9 * config.depth)
  // The same for products that read all tokens of a frame but the first.
  const steps = program.steps.map((step) => {
    if (step.op !== 'linear' || !step.weights.scales) return step
    const { x } = step.inputs
    const [b, t, n, d] = x.shape as [number, number, number, number]
    const view = { offset: x.stride, shape: [b, t, n - 1, d], frameStride: frameStrideOf(x) }
    return { ...step, inputs: { ...step.inputs, x: { ...x, ...view } } }
  })
  expect(count(lower({ ...program, steps }).program.steps, 'quantize')).toBe(9 * config.depth)
  const f32 = recordModel(config, options)
  expect(lower(f32).program).toEqual(f32)
})

test.skipIf(!gpu)('a product of one block shares its integers', { tags: 'gpu' }, async () => {
  const [rows, blocks, k, n] = [9, 3, 20, 8]
  const all = blockProblem({ rows, blocks, k, n })
  const x = inputOf(all)
  const second = x.filter((_, at) => Math.floor(at / k) % blocks === 1)
  const one = problem({ rows, k, n, x: second, bias: true })
  const weights = [all, one].flatMap((op, index) =>
    Object.entries(op.weights!).map(([name, weight]) => ({ ...weight, name: `${index}/${name}` })),
  )
  const ops = new Recorder(1, 1, new Map(weights.map((weight) => [weight.name, weight])))
  const input = ops.input('x', [1, 1, rows, blocks * k])
  const program = ops.end({
    all: ops.blockLinear('all', input, '0/kernel', '0/bias'),
    one: ops.linear('one', ops.columns(input, k, k), '1/kernel', { bias: '1/bias' }),
  })
  expect(lower(program).program.steps.map(({ op }) => op)).toEqual([
    ...['quantize', 'blockLinear', 'linear'],
  ])
  const backend = await WebGpuBackend.create(await openDevice(full!), weights, 'int8', { wgsl })
  for (const weight of weights) backend.write(weight, weight.values, 0, n, 0)
  const replay = await backend.prepare(program)
  const state = await backend.createState([])
  const outputs = await replay.run(state, 0, { x })
  for (const part of [replay, state, backend]) part.dispose()
  for (const [name, op] of Object.entries({ all, one })) {
    const want = exact(op)
    const error = Math.max(...want.map((value, at) => Math.abs(value - outputs[name]![at]!)))
    expect(error, name).toBeLessThan(1e-5)
  }
})

test('the int8 matrices of Base take a byte for each value, and four for each scale', () => {
  const table = weightTable(configOf('B'), 'int8').filter(({ kind }) => kind === 'int8')
  const sum = (of: (weight: Weight) => number) => table.reduce((total, one) => total + of(one), 0)
  const values = sum(({ blocks, rows, columns }) => blocks * rows * columns)
  const scales = sum(({ blocks, columns }) => blocks * columns)
  expect(sum((weight) => weightBytes(weight, 'int8'))).toBe(values + 4 * scales)
  expect(values / 1e6).toBeCloseTo(132, 0)
})

test.skipIf(!gpu)('a GPU gets no float32 of them', { tags: 'gpu' }, async () => {
  const device = await openDevice()
  const { values, scales } = quantize(noise(30 * 10, 1), 10)
  const sizes = new Map<string, number>()
  const counting = withMembers(device, {
    createBuffer: (descriptor: GPUBufferDescriptor) => {
      sizes.set(descriptor.label!, descriptor.size)
      return device.createBuffer(descriptor)
    },
  })
  const kernel = { name: 'kernel', kind: 'int8', blocks: 1, rows: 30, columns: 10 } as const
  const scaleWeight = { ...kernel, name: scalesOf('kernel'), kind: 'rows', rows: 1 } as const
  const backend = await WebGpuBackend.create(counting, [kernel, scaleWeight])
  backend.write(kernel, values, 0, 10, 0)
  backend.write(scaleWeight, scales, 0, 10, 0)
  // 8 groups of 4 rows and the scales, 12 columns, and 16 spare bytes.
  expect(sizes.get('kernel')).toBe(4 * 9 * 12 + 16)
  expect([...sizes.keys()]).not.toContain(scaleWeight.name)
  backend.dispose()
})
