/**
 * Fused steps of a GPU (gpu/fused): parity with the steps that they replace, what is fused and what
 * is not, and the number of dispatches of a frame.
 */
import { describe, expect, test } from 'vitest'
import { lower } from '../src/backend/webgpu/fusions.ts'
import * as int8 from '../src/backend/webgpu/int8.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { configOf } from '../src/model/config.ts'
import { type ProgramOptions, recordModel } from '../src/model/graph.ts'
import type { Program, Tensor, Weight } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { type BackendUnderTest, fullBackends } from './backends.ts'
import { full, openDevice } from './gpu.ts'
import { gamma, noise, type OpCase, rowsWeight, testOp } from './ops.ts'
import { rounded } from './products.ts'
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

describe('what is fused', () => {
  const base: ProgramOptions = { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false }
  const config = configOf('B')

  test.each([
    ['f32', 151, 175],
    ['f16', 151, 175],
    ['int8', 224, 248],
  ] as const)('a frame of Base in %s takes %i dispatches, not %i', (dtype, fused, plain) => {
    const program = recordModel(config, { ...base, dtype })
    const lowered = lower(program, dtype === 'int8' ? int8 : undefined).program.steps
    expect(lowered).toHaveLength(plain)
    expect(stepsOf(program, capable, dtype === 'int8')).toHaveLength(fused)
  })

  test('nothing in chunks of several frames, nor where a kernel gets fewer buffers', () => {
    for (const [options, device] of [
      [{ t: 2 }, capable],
      [{}, least],
    ] as const) {
      const program = recordModel(config, { ...base, ...options })
      const lowered = lower(program, undefined, device)
      expect(lowered.isPlain).toBe(true)
      expect(lowered.program.steps).toBe(program.steps)
    }
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
