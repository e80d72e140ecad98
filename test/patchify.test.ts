import { afterAll, describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { noise, type OpCase, runOp, testOp } from './ops.ts'

interface Problem {
  readonly b?: number
  readonly t?: number
  /** Number of rows and columns of patches. */
  readonly grid: readonly [number, number]
  readonly patch: readonly [number, number]
  readonly lead?: number
  readonly dtype: 'u8' | 'f32'
  readonly pixels?: Float32Array
}

function problem({ b = 1, t = 1, grid, patch, lead = 0, dtype, pixels }: Problem): OpCase {
  const shape = [b, t, grid[0] * patch[0], grid[1] * patch[1], 3]
  const values =
    pixels ??
    noise(
      shape.reduce((product, side) => product * side, 1),
      1,
    )
  return {
    name:
      `${b}×${t} frames of ${grid.join('×')} patches of ${patch.join('×')}, lead ${lead}, ` +
      `${dtype}`,
    b,
    t,
    // One row, because frames have no stride. Bytes are at most 254: 255 is the poison.
    inputs: {
      frame: {
        shape: [values.length],
        values: dtype === 'u8' ? Uint8Array.from(values, (value) => 127 + 127 * value) : values,
      },
    },
    record: (ops, { frame }) =>
      ops.patchify('op', { ...frame!, shape, stride: 3 }, { lead, patchSize: patch }),
    bound: (_, want) => new Float64Array(want.length),
  }
}

testOp(
  'sizes',
  (['u8', 'f32'] as const).flatMap((dtype) => [
    ...[1, 2, 3, 4, 5, 6].map((px) => problem({ grid: [2, 3], patch: [2, px], lead: 1, dtype })),
    ...[0, 1, 2].map((lead) => problem({ b: 2, t: 3, grid: [3, 2], patch: [3, 5], lead, dtype })),
    problem({ grid: [1, 1], patch: [1, 1], dtype }),
    problem({ b: 2, t: 1, grid: [4, 5], patch: [16, 16], lead: 1, dtype }),
  ]),
)

testOp('extreme values', [
  problem({
    grid: [2, 2],
    patch: [1, 1],
    dtype: 'f32',
    pixels: Float32Array.of(0, -0, 1e-45, 3e38, -3e38, Infinity, -Infinity, NaN, 2, -1, 1e-39, 1),
  }),
])

describe.each(backends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_embed.npz')

  test('every byte is the float32 nearest to byte / 255', async () => {
    const frame = { shape: [258], values: Uint8Array.from({ length: 258 }, (_, i) => i % 256) }
    const { output } = await runOp(create, {
      ...problem({ grid: [1, 1], patch: [1, 86], dtype: 'u8' }),
      inputs: { frame },
    })
    expect(output).toEqual(Float32Array.from(frame.values, (byte) => Math.fround(byte / 255)))
  })

  test.each(goldens.names.filter((name) => name.endsWith('/frame')))('%s', async (name) => {
    const frame = goldens.get(name)
    const kernel = goldens.get(name.replace('frame', 'kernel'))
    const bias = goldens.get(name.replace('frame', 'bias'))
    const [height, width] = frame.shape as [number, number]
    const d = bias.values.length
    const op = problem({ grid: [height / 16, width / 16], patch: [16, 16], dtype: 'u8' })
    const patches = await runOp(create, {
      ...op,
      inputs: { frame: { shape: [frame.values.length], values: Uint8Array.from(frame.values) } },
    })
    const { output } = await runOp(create, {
      name,
      bound: op.bound,
      inputs: { x: { shape: [1, 1, patches.output.length / 768, 768], values: patches.output } },
      weights: {
        kernel: { kind: 'matrix', blocks: 1, rows: 768, columns: d, values: kernel.values },
        bias: { kind: 'rows', blocks: 1, rows: 1, columns: d, values: bias.values },
      },
      record: (ops, { x }) => ops.linear('op', x!, 'kernel', { bias: 'bias' }),
    })
    goldens.expect(name.replace('frame', 'patches'), output)
  })

  afterAll(() => console.log(goldens.report()))
})
