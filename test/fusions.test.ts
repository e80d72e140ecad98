/**
 * Fused steps of a GPU (gpu/fused): parity with the steps that they replace, what is fused and what
 * is not, and the number of dispatches of a frame.
 */
import { describe, expect, test } from 'vitest'
import type { Backend, Watch } from '../src/backend/backend.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { lower } from '../src/backend/webgpu/fusions.ts'
import * as int8 from '../src/backend/webgpu/int8.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { configOf } from '../src/model/config.ts'
import { type ProgramOptions, recordModel } from '../src/model/graph.ts'
import { weightTable } from '../src/model/weights.ts'
import {
  type Activation,
  outputsOf,
  type Program,
  type Tensor,
  type Weight,
} from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { type BackendUnderTest, fullBackends } from './backends.ts'
import { full, openDevice } from './gpu.ts'
import { gamma, noise, type OpCase, rowsWeight, testOp } from './ops.ts'
import { activate, matrix, rounded } from './products.ts'
import { sigmoid } from './reference.ts'

/** A device that fuses all it can, and one with the fewest buffers for a kernel. */
const capable = {
  limits: {
    maxBufferSize: 2 ** 30,
    maxStorageBufferBindingSize: 2 ** 30,
    maxComputeWorkgroupStorageSize: 32768,
    maxStorageBuffersPerShaderStage: 10,
  },
}
const least = { limits: { ...capable.limits, maxStorageBuffersPerShaderStage: 8 } }

/** A chunk of one frame. */
const frame: ProgramOptions = { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false }

const stepsOf = (program: Program, device = capable, quantised = false): string[] =>
  lower(program, quantised ? int8 : undefined, device).program.steps.map(({ op }) => op)

interface RecurrenceCase {
  readonly name?: string
  readonly b?: number
  readonly n: number
  readonly heads: number
  /** Channels of a head. */
  readonly width: number
  readonly k?: number
  /** Whether there are frames before. */
  readonly past?: boolean
}

/** Returns a frame of conv1d, the gates and rgLru. y and z are columns of one input. */
function recurrence(p: RecurrenceCase): OpCase {
  const { name, b = 1, n, heads, width, k = 4, past = false } = p
  const e = heads * width
  const rows = b * n
  const yx = noise(rows * 2 * e, 1, 2)
  const taps = noise(k * e, 2)
  const bias = noise(e, 3)
  const kernel = rounded(noise(heads * width * 2 * width, 4), true)
  const kernelBias = noise(2 * e, 5)
  const decay = noise(e, 6).map((value) => -0.5 - 4 * Math.abs(value))
  const before = noise(b * (k - 1) * n * e, 7).map((value) => (past ? value : 0))
  const s = noise(rows * e, 8).map((value) => (past ? value : 0))

  /** Errors of out and s, each from those of the numbers that it is computed from. */
  const errors = (precision: BackendUnderTest) => {
    const { unit } = precision
    const output = new Float64Array(rows * e)
    const state = new Float64Array(rows * e)
    for (let row = 0; row < rows; row++) {
      const [video, token] = [Math.floor(row / n), row % n]
      const v = new Float64Array(e)
      const vError = new Float64Array(e)
      for (let c = 0; c < e; c++) {
        let size = Math.abs(bias[c]!)
        v[c] = bias[c]!
        for (let j = 0; j < k; j++) {
          const input = j
            ? before[((video * (k - 1) + k - 1 - j) * n + token) * e + c]!
            : yx[row * 2 * e + e + c]!
          v[c]! += taps[(k - 1 - j) * e + c]! * input
          size += Math.abs(taps[(k - 1 - j) * e + c]! * input)
        }
        vError[c] = gamma(k + 1, precision) * size
      }
      for (let c = 0; c < e; c++) {
        const [head, channel] = [Math.floor(c / width), c % width]
        const [[gate, gateError], [rho, rhoError]] = [0, 1].map((half) => {
          const column = half * width + channel
          let sum = kernelBias[head * 2 * width + column]!
          let size = Math.abs(sum)
          let carried = 0
          for (let l = 0; l < width; l++) {
            const w = kernel[(head * width + l) * 2 * width + column]!
            sum += v[head * width + l]! * w
            size += Math.abs(v[head * width + l]! * w)
            carried += vError[head * width + l]! * Math.abs(w)
          }
          // The slope of a sigmoid is at most a quarter; it has 4 units of its own.
          const error = (gamma(width + 1, precision) * size + carried) / 4
          return [sigmoid(sum), error + 4 * unit]
        }) as [[number, number], [number, number]]
        const logA = decay[c]! * rho
        const logError = Math.abs(decay[c]!) * rhoError + unit * Math.abs(logA)
        const root = past ? Math.sqrt(-Math.expm1(2 * logA)) : 1
        const a = past ? Math.exp(logA) : 0
        // The slope of √(1 − a²) in log a is a² / √(1 − a²); it has 8 units of its own.
        const rootError = past ? (a * a * logError) / root + 8 * unit * root : 0
        const fresh = root * gate * v[c]!
        const freshError =
          rootError * gate * Math.abs(v[c]!) +
          root * (gateError * Math.abs(v[c]!) + gate * vError[c]!) +
          3 * unit * Math.abs(fresh)
        const at = row * e + c
        const old = a * s[at]!
        const error = (a * logError + 6 * unit) * Math.abs(s[at]!) + freshError
        state[at] = error + unit * Math.abs(old + fresh)
        const y = Math.abs(yx[row * 2 * e + c]!)
        output[at] = y * (state[at]! + unit * Math.abs(old + fresh))
      }
    }
    return { output, state }
  }
  return {
    name: [name, `${b} videos, ${n} tokens, ${heads}×${width} channels, ${k} taps`, past && 'past']
      .filter(Boolean)
      .join(', '),
    b,
    gap: 8,
    inputs: { yx: { shape: [b, 1, n, 2 * e], values: yx } },
    weights: {
      taps: rowsWeight(k, e, taps),
      bias: rowsWeight(1, e, bias),
      kernel: { kind: 'matrix', blocks: heads, rows: width, columns: 2 * width, values: kernel },
      kernelBias: { ...rowsWeight(1, 2 * width, kernelBias), blocks: heads },
      decay: rowsWeight(1, e, decay),
    },
    ...(past && { frame: 5 }),
    states: [before, s],
    record(ops, { yx }) {
      const v = ops.conv1d('v', ops.columns(yx!, e, e), 'taps', 'bias')
      const gates = ops.blockLinear('gates', v, 'kernel', 'kernelBias')
      return ops.rgLru('op', v, gates, ops.columns(yx!, 0, e), 'decay', heads)
    },
    bound: (precision) => errors(precision).output,
    boundOfStates: (precision) => [new Float64Array(before.length), errors(precision).state],
  }
}

interface NormCase {
  readonly name?: string
  readonly t?: number
  readonly rows: number
  /** Columns of x before its product, of the normalised rows, and of the result. */
  readonly sizes: readonly [before: number, width: number, n: number]
  readonly norm: 'rmsNorm' | 'layerNorm'
  readonly activation?: Activation
  readonly activated?: number
  /** Added to all normalised rows before: their mean. */
  readonly mean?: number
}

/** Returns a product with a residual, a norm of it, and a product of the normalised rows. */
function norms(p: NormCase): OpCase {
  const { name, t = 1, rows, norm, activation = 'none', mean = 0 } = p
  const [before, width, n] = p.sizes
  const { activated = activation === 'none' ? 0 : n } = p
  const count = t * rows
  const x = noise(count * before, 1)
  const add = noise(count * width, 2).map((value) => value + mean)
  const first = rounded(noise(before * width, 3), true)
  const scale = noise(width, 4)
  const shift = noise(width, 5)
  const kernel = rounded(noise(width * n, 6), true)
  const bias = noise(n, 7)
  const isCentred = norm === 'layerNorm'

  /** Returns a row, normalised: each number and its error. */
  const normalised = (row: number, precision: BackendUnderTest) => {
    const { unit } = precision
    const values = new Float64Array(width)
    const errors = new Float64Array(width)
    for (let c = 0; c < width; c++) {
      values[c] = add[row * width + c]!
      let size = Math.abs(values[c]!)
      for (let l = 0; l < before; l++) {
        const product = x[row * before + l]! * first[l * width + c]!
        values[c]! += product
        size += Math.abs(product)
      }
      errors[c] = gamma(before + 1, precision) * size
    }
    const meanOf = (of: (c: number) => number) => {
      let sum = 0
      for (let c = 0; c < width; c++) sum += of(c)
      return sum / width
    }
    const μ = isCentred ? meanOf((c) => values[c]!) : 0
    // A mean of means of 32: sums of 32 numbers, then of those of each tile.
    const sums = gamma(40 + width / 32, precision)
    const μError = isCentred ? meanOf((c) => errors[c]! + sums * Math.abs(values[c]!)) : 0
    const off = values.map((value) => value - μ)
    const offErrors = errors.map((error, c) => error + μError + unit * Math.abs(off[c]!))
    const square = meanOf((c) => off[c]! ** 2) + 1e-6
    const relative = meanOf((c) => Math.abs(off[c]!) * offErrors[c]!) / square + 2 * sums
    return Array.from(off, (value, c): [value: number, error: number] => {
      const factor = (isCentred ? scale[c]! : 1 + scale[c]!) / Math.sqrt(square)
      const result = value * factor
      const error = Math.abs(factor) * offErrors[c]! + Math.abs(result) * (relative + 4 * unit)
      const shifted = isCentred ? result + shift[c]! : result
      return [shifted, error + unit * (Math.abs(shifted) + error)]
    })
  }
  return {
    name: [name, norm, `${rows}×${p.sizes.join('×')}`, t > 1 && `${t} frames`, activation]
      .filter(Boolean)
      .join(', '),
    t,
    gap: 8,
    inputs: {
      x: { shape: [1, t, rows, before], values: x },
      add: { shape: [1, t, rows, width], values: add },
    },
    weights: {
      first: matrix(before, width, first),
      scale: rowsWeight(1, width, scale),
      shift: rowsWeight(1, width, shift),
      kernel: matrix(width, n, kernel),
      bias: rowsWeight(1, n, bias),
    },
    record(ops, { x, add }) {
      const sum = ops.linear('sum', x!, 'first', { add: add! })
      const z = isCentred
        ? ops.layerNorm('norm', sum, 'scale', 'shift')
        : ops.rmsNorm('norm', sum, 'scale')
      return ops.linear('op', z, 'kernel', { bias: 'bias', activation, activated })
    },
    bound(precision, want) {
      const { unit } = precision
      const ofRows = Array.from({ length: count }, (_, row) => normalised(row, precision))
      return want.map((_, at) => {
        const [row, column] = [Math.floor(at / n), at % n]
        let z = bias[column]!
        let size = Math.abs(z)
        let carried = 0
        ofRows[row]!.forEach(([value, error], c) => {
          const weight = kernel[c * n + column]!
          z += value * weight
          size += Math.abs(value * weight)
          carried += error * Math.abs(weight)
        })
        const error = gamma(width + 1, precision) * size + carried
        return column < activated ? activate(activation, z, error, unit)[1] : error
      })
    },
  }
}

const device = full ? await openDevice(full) : undefined
const onGpu = fullBackends.filter(({ name }) => name.endsWith('in full'))
const inHalf = onGpu.map((backend) => ({
  ...backend,
  name: `${backend.name}, float16`,
  create: (weights: Parameters<BackendUnderTest['create']>[0]) =>
    WebGpuBackend.create(device!, weights, 'f16'),
}))
testOp(
  'a frame of a recurrent block',
  [
    recurrence({ n: 1, heads: 1, width: 4 }),
    recurrence({ n: 17, heads: 2, width: 16, past: true }),
    ...[15, 16, 33].map((n) => recurrence({ n, heads: 3, width: 64, past: true })),
    recurrence({ b: 3, n: 9, heads: 2, width: 20, past: true }),
    ...[1, 2, 7].map((k) => recurrence({ n: 5, heads: 2, width: 8, k, past: true })),
    recurrence({ b: 2, n: 19, heads: 2, width: 128, past: true }),
    recurrence({ n: 18, heads: 2, width: 32 }),
  ],
  [...onGpu, ...inHalf],
)
testOp(
  'a norm between two products',
  (['rmsNorm', 'layerNorm'] as const).flatMap((norm) => [
    norms({ norm, rows: 9, sizes: [4, 32, 4] }),
    norms({ norm, rows: 41, sizes: [20, 96, 36], activation: 'gelu' }),
    norms({ norm, rows: 40, sizes: [33, 64, 68], activation: 'gelu', activated: 30 }),
    norms({ norm, t: 2, rows: 17, sizes: [8, 128, 32], activation: 'tanh' }),
    norms({ norm, name: 'far from 0', rows: 39, sizes: [8, 160, 12], mean: 100 }),
  ]),
  [...onGpu, ...inHalf],
)

describe.skipIf(!device)('a watched run of fused steps', { tags: ['gpu', 'slow'] }, () => {
  const config = configOf('mu', { imageSize: [64, 64], numClasses: 8, repSize: 24 })
  const weights = weightTable(config)
  const program = recordModel(config, { ...frame, recent: 'window' })
  const pixels = Uint8Array.from(noise(3 * 64 * 64 * 3, 1), (value) => 128 + 127 * value)

  /** Returns the outputs and the states of three frames, and the tensors of the second one. */
  async function run(backend: Backend, watched: boolean) {
    weights.forEach((weight, index) => {
      const { name, blocks, rows, columns } = weight
      const values = noise(blocks * rows * columns, index, 0.2)
      const isDecay = name.endsWith('decay')
      backend.write(weight, isDecay ? values.map((one) => -Math.abs(one)) : values, 0, columns, 0)
    })
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states, { frames: 2 })
    const tensors = new Map<string, Float32Array>()
    const watch: Watch = async (step, _, read) => {
      for (const output of outputsOf(step)) tensors.set(output.buffer.name, await read(output))
    }
    const outputs: unknown[] = []
    for (const at of [0, 1, 2]) {
      const given = { pixels: pixels.subarray(at * 64 * 64 * 3, (at + 1) * 64 * 64 * 3) }
      outputs.push(await replay.run(state, at, given, watched && at === 1 ? watch : undefined))
    }
    outputs.push(await state.read())
    for (const part of [replay, state, backend]) part.dispose()
    return { outputs, tensors }
  }

  test('gives the tensors of all steps, and the answers of other runs', async () => {
    const create = () => WebGpuBackend.create(device!, weights)
    const want = await run(await create(), false)
    const got = await run(await create(), true)
    expect(got.outputs).toEqual(want.outputs)
    const { tensors } = await run(await WasmBackend.create(weights), true)
    expect([...got.tensors.keys()]).toEqual([...tensors.keys()])
    expect(stepsOf(program).length).toBeLessThan(program.steps.length)
    for (const [name, values] of tensors) {
      const allowed = 1e-4 * Math.max(...values.map(Math.abs))
      const errors = values.map((value, at) => Math.abs(value - got.tensors.get(name)![at]!))
      expect(Math.max(...errors), name).toBeLessThanOrEqual(allowed)
    }
  })
})

describe('what is fused', () => {
  const config = configOf('B')

  test.each([
    ['f32', 117, 175],
    ['f16', 117, 175],
    ['int8', 187, 259],
  ] as const)('a frame of Base in %s takes %i dispatches, not %i', (dtype, fused, plain) => {
    const program = recordModel(config, { ...frame, dtype })
    const lowered = lower(program, dtype === 'int8' ? int8 : undefined).program.steps
    expect(lowered).toHaveLength(plain)
    expect(stepsOf(program, capable, dtype === 'int8')).toHaveLength(fused)
  })

  test.each([
    ['f16', 151],
    ['int8', 187],
  ] as const)('with matrix units norms read no moments: %s, %i dispatches', (dtype, count) => {
    const program = recordModel(config, { ...frame, dtype })
    const { steps } = lower(program, dtype === 'int8' ? int8 : undefined, capable, true).program
    expect(steps).toHaveLength(count)
  })

  test('a norm whose result nothing but products of many rows reads', () => {
    const program = recordModel(config, frame)
    const [norm] = program.steps.filter(({ op }) => op === 'layerNorm')
    const all = stepsOf(program).filter((op) => op === 'layerNorm')
    // The class token of the last block is one row, and the last norm is read by the head.
    expect(all).toHaveLength(3)
    const read = { ...program, outputs: { ...program.outputs, norm: outputsOf(norm!)[0]! } }
    expect(stepsOf(read).filter((op) => op === 'layerNorm')).toHaveLength(4)
  })

  test('a norm whose result nothing but products with int8 kernels reads', () => {
    const program = recordModel(config, { ...frame, dtype: 'int8' })
    const count = (program: Program) =>
      stepsOf(program, capable, true).filter((op) => op === 'normQuantize').length
    // The head is not int8, so the last norm stays.
    expect(count(program)).toBe(3 * config.depth)
    const [norm] = program.steps.filter(({ op }) => op === 'layerNorm')
    const read = { ...program, outputs: { ...program.outputs, norm: outputsOf(norm!)[0]! } }
    expect(count(read)).toBe(3 * config.depth - 1)
    expect(stepsOf(program, capable, true)).not.toContain('rmsNorm')
    expect(count(recordModel(config, { ...frame, dtype: 'int8', t: 2 }))).toBe(3 * config.depth)
  })

  test('no recurrences in chunks of several frames, nor where a kernel gets fewer buffers', () => {
    for (const [options, device] of [
      [{ t: 2 }, capable],
      [{}, least],
    ] as const)
      expect(stepsOf(recordModel(config, { ...frame, ...options }), device)).toContain('rgLru')
  })

  /** A frame of a recurrent block, which the case records, and these outputs. */
  function block(
    outputs: (tensors: Readonly<Record<'v' | 'gates' | 'out', Tensor>>) => Record<string, Tensor>,
    { width = 16, apart = false } = {},
  ): string[] {
    const e = 2 * width
    const weight = (name: string, rows: number, columns: number, blocks = 1): Weight => ({
      ...{ name, kind: 'rows', blocks, rows, columns },
    })
    const weights = [
      weight('taps', 4, e),
      weight('bias', 1, e),
      weight('kernel', width, 2 * width, 2),
      weight('kernelBias', 1, 2 * width, 2),
      weight('decay', 1, e),
    ]
    const ops = new Recorder(1, 1, new Map(weights.map((one) => [one.name, one])))
    const yx = ops.input('yx', [1, 1, 9, 2 * e])
    const v = ops.conv1d('v', ops.columns(yx, e, e), 'taps', 'bias')
    const gates = ops.blockLinear('gates', v, 'kernel', 'kernelBias')
    const y = apart ? ops.input('y', [1, 1, 9, e]) : ops.columns(yx, 0, e)
    const out = ops.rgLru('out', v, gates, y, 'decay', 2)
    return stepsOf(ops.end(outputs({ v, gates, out })))
  }
  const plain = ['conv1d', 'blockLinear', 'rgLru']

  test('a block whose tensors nothing else reads', () => {
    expect(block(({ out }) => ({ out }))).toEqual(['recurrence'])
    expect(block(({ out, v }) => ({ out, v }))).toEqual(plain)
    expect(block(({ out, gates }) => ({ out, gates }))).toEqual(plain)
  })

  test('a block whose heads and addresses the kernel supports', () => {
    expect(block(({ out }) => ({ out }), { width: 128 })).toEqual(['recurrence'])
    for (const options of [{ width: 132 }, { width: 18 }, { apart: true }])
      expect(block(({ out }) => ({ out }), options)).toEqual(plain)
  })
})
