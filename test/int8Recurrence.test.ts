/**
 * A frame of a recurrent block with int8 gates in one step (gpu/fused/recurrence.wgsl): for equal
 * v, the integers and their sums are those of the CPU.
 */
import { describe, expect, test } from 'vitest'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { scalesOf } from '../src/program/program.ts'
import { withMembers } from './faults.ts'
import { full, gpu, openDevice, wgsl } from './gpu.ts'
import { blockProblem, clearOf, exact } from './int8Products.ts'
import { noise, type OpCase, rowsWeight, runOp } from './ops.ts'
import { sigmoid } from './reference.ts'

const UNIT = 2 ** -24

interface Sizes {
  readonly b?: number
  readonly n: number
  readonly heads: number
  /** Channels of a head. */
  readonly width: number
  readonly k?: number
  /** Whether there are frames before. */
  readonly past?: boolean
}

/** A case, its exact output and state, and the sizes of their terms. */
interface Problem {
  readonly op: OpCase
  readonly output: Float64Array
  readonly state: Float64Array
  readonly sizes: Float64Array
}

/** Returns a frame of conv1d, the gates and rgLru. As integers no v is near to a half. */
function problem({ b = 1, n, heads, width, k = 4, past = false }: Sizes): Problem {
  const e = heads * width
  const rows = b * n
  const taps = noise(k * e, 2)
  const bias = noise(e, 3)
  const decay = noise(e, 6).map((value) => -0.5 - 4 * Math.abs(value))
  const before = noise(b * (k - 1) * n * e, 7).map((value) => (past ? value : 0))
  const s = noise(rows * e, 8).map((value) => (past ? value : 0))
  const y = noise(rows * e, 9)
  const z = new Float32Array(rows * e)
  const v = new Float32Array(rows * e)
  for (let at = 0; at < rows * e; at += width) {
    const row = Math.floor(at / e)
    const begin = at % e
    const convolved = (given: Float32Array) =>
      given.map((value, channel) => {
        const c = begin + channel
        let sum = bias[c]! + taps[(k - 1) * e + c]! * value
        for (let j = 1; j < k; j++) {
          const frame = Math.floor(row / n) * (k - 1) + k - 1 - j
          sum += taps[(k - 1 - j) * e + c]! * before[(frame * n + (row % n)) * e + c]!
        }
        return sum
      })
    const own = clearOf((seed) => noise(width, 1000 * at + seed, 10 ** ((row % 4) - 2)), convolved)
    z.set(own, at)
    v.set(convolved(own), at)
  }
  const product = blockProblem({ rows, blocks: heads, k: width, n: 2 * width, x: v })
  const gates = exact(product)
  const output = new Float64Array(rows * e)
  const state = new Float64Array(rows * e)
  const sizes = new Float64Array(rows * e)
  for (let at = 0; at < rows * e; at++) {
    const c = at % e
    const gate = 2 * (at - (c % width)) + (c % width)
    const fresh = sigmoid(gates[gate]!) * v[at]!
    const logA = decay[c]! * sigmoid(gates[gate + width]!)
    state[at] = past ? Math.exp(logA) * s[at]! + Math.sqrt(-Math.expm1(2 * logA)) * fresh : fresh
    output[at] = state[at]! * y[at]!
    sizes[at] = Math.abs(s[at]!) + Math.abs(v[at]!)
  }
  const { kernel, bias: kernelBias, ...scales } = product.weights!
  const yx = new Float32Array(2 * rows * e)
  for (let row = 0; row < rows; row++) {
    yx.set(y.subarray(row * e, (row + 1) * e), 2 * row * e)
    yx.set(z.subarray(row * e, (row + 1) * e), (2 * row + 1) * e)
  }
  const name = `${b} videos, ${n} tokens, ${heads}×${width} channels, ${k} taps`
  const op: OpCase = {
    name: past ? `${name}, past` : name,
    b,
    inputs: { yx: { shape: [b, 1, n, 2 * e], values: yx } },
    weights: {
      ...{ kernel: kernel!, kernelBias: kernelBias!, ...scales },
      taps: rowsWeight(k, e, taps),
      bias: rowsWeight(1, e, bias),
      decay: rowsWeight(1, e, decay),
    },
    ...(past && { frame: 5 }),
    states: [before, s],
    record(ops, { yx }) {
      const v = ops.conv1d('v', ops.columns(yx!, e, e), 'taps', 'bias')
      const gates = ops.blockLinear('gates', v, 'kernel', 'kernelBias')
      return ops.rgLru('op', v, gates, ops.columns(yx!, 0, e), 'decay', heads)
    },
    bound: () => [],
  }
  expect(op.weights).toHaveProperty([scalesOf('kernel')])
  return { op, output, state, sizes }
}

/** Returns the largest error in units of its bound: above 1 if an integer differs. */
async function errorOf(device: GPUDevice, features: readonly string[], p: Problem) {
  let worst = 0
  const compare = (got: Float32Array, want: Float64Array) =>
    want.forEach((value, at) => {
      // Of v and its maximum, both gates, their sigmoids, the exponential and the root.
      const error = Math.abs(got[at]! - value) / (300 * UNIT * p.sizes[at]!)
      // NaN counts as an infinite error.
      worst = error <= worst ? worst : error >= 0 ? error : Infinity
    })
  for (const gap of [0, 8]) {
    const { output, states } = await runOp(
      (weights) => WebGpuBackend.create(device, weights, 'int8', { wgsl: features }),
      p.op,
      gap,
    )
    compare(output, p.output)
    compare(states[1]!, p.state)
  }
  return worst
}

const cases = [
  problem({ n: 1, heads: 1, width: 4 }),
  problem({ n: 17, heads: 2, width: 16, past: true }),
  ...[15, 16, 33].map((n) => problem({ n, heads: 3, width: 64, past: true })),
  problem({ b: 3, n: 9, heads: 2, width: 20, past: true }),
  ...[1, 2].map((k) => problem({ n: 5, heads: 2, width: 8, k, past: true })),
  problem({ b: 2, n: 19, heads: 2, width: 128, past: true }),
  problem({ n: 18, heads: 2, width: 32 }),
]

const variants = [
  ...(wgsl.length ? [{ name: 'packed dot products', features: wgsl, tags: ['gpu'] }] : []),
  { name: 'plain code', features: [], tags: ['gpu', 'slow'] },
]

describe.skipIf(!gpu).each(variants)('a frame, with $name', async ({ features, tags }) => {
  const device = gpu ? await openDevice(full!) : undefined!

  const options = { tags, concurrent: true, timeout: 240_000 }
  test.each(cases)('$op.name', options, async (problem) => {
    expect(await errorOf(device, features, problem)).toBeLessThanOrEqual(1)
  })
})

describe.skipIf(!gpu)('a planted fault is found', { tags: ['gpu', 'slow'] }, async () => {
  const device = gpu ? await openDevice(full!) : undefined!
  const frame = problem({ n: 19, heads: 3, width: 68, past: true })
  test.each([
    ['no barrier before the maxima are read', 'workgroupBarrier();\n  var largest', 'var largest'],
    ['no barrier before the products', 'workgroupBarrier();\n  if (!has0)', 'if (!has0)'],
    ['the maximum of one invocation', 'maxima[local / 32u * 32u + i]', 'maxima[local]'],
    ['the maximum of half the channels', 'i < 32u; i++', 'i < 9u; i++'],
    ['the maximum of two channels', 'max(abs(v.xy), abs(v.zw))', 'abs(v.xy)'],
    ['swapped bytes', '(bytes.y << 8u) | (bytes.z << 16u)', '(bytes.z << 8u) | (bytes.y << 16u)'],
    ['the words of the other row', 'words[line + 256u + k]', 'words[line + k]'],
    ['the last word omitted', 'k < quads; k++', 'k + 1u < quads; k++'],
    ['the kernel of another head', 'var at = head * quads', 'var at = head / 2u * quads'],
    ['the scale of the other row', '(input1) * (scales.y', '(input1) * (scales.x'],
    ['the scales of another head', 'quads * next + own', 'quads * next + quad'],
    ['the scales of the other gate', 'kernel[columns + quads]', 'kernel[columns]'],
    ['the bias of the other gate', 'kernelBias[own + quads]', 'kernelBias[own]'],
  ])('%s', async (_, part, by) => {
    let replaced = false
    const faulty = withMembers(device, {
      createShaderModule: ({ code, ...rest }: GPUShaderModuleDescriptor) => {
        replaced ||= code.includes(part)
        return device.createShaderModule({ ...rest, code: code.replace(part, by) })
      },
    })
    expect(await errorOf(device, wgsl, frame)).toBeLessThanOrEqual(1)
    expect(await errorOf(faulty, wgsl, frame)).toBeGreaterThan(1)
    expect(replaced).toBe(true)
  })
})
