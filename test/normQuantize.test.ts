/**
 * Norms that quantise their rows (gpu/fused/normQuantize.wgsl): for equal rows, the integers and
 * their sums are those of the CPU.
 */
import { describe, expect, test } from 'vitest'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { withMembers } from './faults.ts'
import { full, gpu, openDevice, wgsl } from './gpu.ts'
import { exact, normProblem } from './int8Products.ts'
import { runOp } from './ops.ts'

const UNIT = 2 ** -24

type Problem = ReturnType<typeof normProblem>

const norms = ['rmsNorm', 'layerNorm'] as const
/** Rows around four integers in a number, and around what the invocations have in registers. */
const cases = norms.flatMap((norm) => [
  ...[4, 5, 63].map((d) => normProblem({ norm, rows: 7, d, n: 9 })),
  ...[0, 259].map((largest) => normProblem({ norm, rows: 4, d: 260, n: 12, largest })),
  ...[600, 1023, 1024, 1029].map((largest) =>
    normProblem({ norm, rows: 3, d: 1030, n: 12, largest }),
  ),
  normProblem({ norm, t: 2, rows: 4, d: 20, n: 8 }),
  normProblem({ norm, t: 2, rows: 5, d: 20, n: 8, tokens: [0, 1] }),
  normProblem({ norm, t: 2, rows: 5, d: 70, n: 8, tokens: [4, 1] }),
  normProblem({ norm, t: 2, rows: 5, d: 70, n: 8, tokens: [1, 3] }),
])
/** More rows, which tiles multiply. */
const tiles = norms.flatMap((norm) => [
  normProblem({ norm, t: 3, rows: 15, d: 36, n: 36 }),
  normProblem({ norm, t: 3, rows: 15, d: 20, n: 36, tokens: [2, 9] }),
  normProblem({ norm, t: 9, rows: 5, d: 20, n: 36, tokens: [2, 1] }),
])

/** Returns the largest error in units of its bound: above 1 if an integer differs. */
async function errorOf(device: GPUDevice, { op, product }: Problem): Promise<number> {
  const want = exact(product)
  const bias = product.weights!['bias']!.values
  let worst = 0
  for (const [gap, apart] of [[0, 0], [5, 0], ...(op.t! > 1 ? [[0, 2]] : [])] as const) {
    const { output } = await runOp(
      (weights) => WebGpuBackend.create(device, weights, 'int8', { wgsl }),
      op,
      gap,
      apart,
    )
    want.forEach((value, at) => {
      // Of the scale of a row: sums of 64 numbers and of up to 5, a root, quotients and products.
      const size = Math.abs(value) + 2 * Math.abs(bias[at % bias.length]!)
      const error = Math.abs(output[at]! - value) / (100 * UNIT * size)
      // NaN counts as an infinite error.
      worst = error <= worst ? worst : error >= 0 ? error : Infinity
    })
  }
  return worst
}

describe.skipIf(!gpu).each([
  { kernel: 'few', problems: cases },
  { kernel: 'tiles', problems: tiles },
])('products of normalised rows by $kernel', async ({ problems }) => {
  const device = gpu ? await openDevice(full!) : undefined!

  const options = { tags: ['gpu', 'slow'], concurrent: true, timeout: 240_000 }
  test.each(problems)('$op.name', options, async (problem) => {
    expect(await errorOf(device, problem)).toBeLessThanOrEqual(1)
  })
})

describe.skipIf(!gpu)('a planted fault is found', { tags: ['gpu', 'slow'] }, async () => {
  const device = gpu ? await openDevice(full!) : undefined!
  const centred = { norm: 'layerNorm', n: 9 } as const
  const middle = normProblem({ ...centred, rows: 3, d: 600, largest: 300 })
  const last = normProblem({ ...centred, rows: 3, d: 1030, largest: 1029 })
  const tail = normProblem({ ...centred, rows: 7, d: 70 })
  const root = normProblem({ norm: 'rmsNorm', rows: 7, d: 70, n: 9 })
  test.each([
    [
      'the maximum of one invocation',
      'largestOf(local, max(max(most.x, most.y), max(most.z, most.w)), 0u)',
      'max(max(most.x, most.y), max(most.z, most.w))',
      tail,
    ],
    ['the maximum of a part', 'max(abs(n0), abs(n1))', 'abs(n0)', middle],
    [
      'the maximum of 1024 columns',
      'most = max(most, abs(scaled(i, (xAt(row, i) - mean) / deviation)));',
      '',
      last,
    ],
    ['the maximum before the scale', 'max(abs(n0), abs(n1))', 'max(abs(v0), abs(v1))', tail],
    ['the scale of another row', '(row + 1u) * p.outStride', 'max(row, 1u) * p.outStride', tail],
    ['no mean', 'mean = sumOf', 'mean = 0.0 * sumOf', tail],
    ['the mean of another norm', 'if (CENTRED) {', 'if (!CENTRED) {', root],
    ['no shift', ' + shift[quad]', '', tail],
    ['the scale of other columns', 'v * scale[quad]', 'v * scale[quad ^ 1u]', tail],
    ['no 1 in the scale', '(1.0 + scale[quad])', 'scale[quad]', root],
    ['columns beyond the row', 'inside(local, x0 - mean)', '(x0 - mean)', tail],
  ])('%s', async (_, part, by, problem) => {
    let replaced = false
    const faulty = withMembers(device, {
      createShaderModule: ({ code, ...rest }: GPUShaderModuleDescriptor) => {
        replaced ||= code.includes(part)
        return device.createShaderModule({ ...rest, code: code.replace(part, by) })
      },
    })
    expect(await errorOf(device, problem)).toBeLessThanOrEqual(1)
    expect(await errorOf(faulty, problem)).toBeGreaterThan(1)
    expect(replaced).toBe(true)
  })
})
