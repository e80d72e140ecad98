/** Float16 matrices: every backend rounds them equally. A GPU stores them as float16. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../src/backend/backend.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { f16ToF32, f32ToF16 } from '../src/base/f16.ts'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { writeSafetensors } from '../src/checkpoint/writeSafetensors.ts'
import { type LoadOptions, TRecViT } from '../src/index.ts'
import { Goldens, goldenUrl } from './goldens.ts'
import { adapter, gpu, openDevice } from './gpu.ts'
import { models } from './models.ts'
import { noise, type OpCase, rowsWeight, runOp } from './ops.ts'

/** Error bounds of float16 matrices and of a GPU, relative to the largest logit. */
const HALF_BOUND = 1e-2
const GPU_BOUND = 1e-4

const halves = (values: Float32Array) => values.map((value) => f16ToF32(f32ToF16(value)))

/**
 * Returns a product of `blocks` blocks with all parts of the epilogue. The kernel is exactly
 * representable in float16.
 */
function product(rows: number, k: number, n: number, blocks = 1): OpCase {
  const kernel = {
    kind: 'matrix' as const,
    blocks,
    rows: k,
    columns: n,
    values: halves(noise(blocks * k * n, 2)),
  }
  const bias = noise(blocks * n, 3)
  return {
    name: `${rows}×${k}×${n}, ${blocks}`,
    inputs: { x: { shape: [1, 1, rows, blocks * k], values: noise(rows * blocks * k, 1) } },
    weights: { kernel, bias: { ...rowsWeight(1, n, bias), blocks } },
    record: (ops, { x }) =>
      blocks > 1
        ? ops.blockLinear('op', x!, 'kernel', 'bias')
        : ops.linear('op', x!, 'kernel', { bias: 'bias', activation: 'gelu' }),
    bound: () => [],
  }
}

describe.skipIf(!adapter)('a GPU computes the same bits from float16 as from float32', async () => {
  const device = adapter ? await openDevice() : undefined!
  const create =
    (dtype: 'f32' | 'f16', change: (backend: Backend) => void = () => {}) =>
    async (weights: Parameters<typeof WebGpuBackend.create>[1]) => {
      const backend = await WebGpuBackend.create(device, weights, dtype)
      change(backend)
      return backend
    }

  test.each([
    ...[1, 8, 9, 65].flatMap((rows) =>
      [3, 4, 20].flatMap((k) => [1, 5, 8, 12, 68].map((n) => product(rows, k, n))),
    ),
    ...[5, 65].flatMap((rows) => [6, 7, 36].flatMap((size) => [product(rows, size, size, 3)])),
  ])('$name', { concurrent: true }, async (op) => {
    for (const gap of [0, 5])
      expect((await runOp(create('f16'), op, gap)).output).toEqual(
        (await runOp(create('f32'), op, gap)).output,
      )
  })

  test('written in pieces that end within a word, in any order', async () => {
    const op = product(6, 9, 22)
    const inPieces = (backend: Backend) => {
      const write = backend.write.bind(backend)
      backend.write = (weight, values) => {
        const pieces: (() => void)[] = []
        for (const [width, at] of [
          [9, 0],
          [weight.columns - 9, 9],
        ] as const) {
          const part = values.filter(
            (_, index) => index % weight.columns >= at && index % weight.columns < at + width,
          )
          for (let first = 0; first < part.length; first += 5)
            pieces.push(() => write(weight, part.subarray(first, first + 5), first, width, at))
        }
        for (const piece of pieces.reverse()) piece()
      }
    }
    expect((await runOp(create('f16', inPieces), op)).output).toEqual(
      (await runOp(create('f32'), op)).output,
    )
  })
})

describe.each(models)('$name', ({ name, given }) => {
  const load = (options: LoadOptions) =>
    TRecViT.load(goldenUrl(`${name}.npz`), { config: given, ...options })
  const errors = (got: Float32Array, want: Float32Array) =>
    Math.max(...got.map((value, i) => Math.abs(value - want[i]!))) / Math.max(...want.map(Math.abs))
  const logitsOf = async (options: LoadOptions) => {
    await using model = await load(options)
    expect(model.dtype).toBe(options.dtype)
    const { shape, values } = (await Goldens.open(`${name}_io.npz`)).get('video')
    return (await model.forward({ data: Uint8Array.from(values), shape })).logits.data
  }
  let cpu: Float32Array
  beforeAll(async () => {
    cpu = await logitsOf({ device: 'wasm', dtype: 'f16' })
  })

  test('float16 on the CPU is close to float32, but not equal', async () => {
    const want = (await Goldens.open(`${name}_io.npz`)).get('logits').values
    const error = errors(cpu, want)
    console.log(`${name}: float16 matrices cost ${error.toExponential(1)} of the largest logit`)
    expect(error).toBeLessThan(HALF_BOUND)
    expect(error).toBeGreaterThan(1e-6)
  })

  test.skipIf(!gpu)(
    'and is as near on a GPU as float32 is',
    { tags: ['slow', 'gpu'] },
    async () => {
      expect(
        errors(await logitsOf({ device: 'webgpu', gpu: gpu!, dtype: 'f16' }), cpu),
      ).toBeLessThan(GPU_BOUND)
    },
  )
})

/** Returns mu as a file with float16 matrices, with one value of one tensor replaced. */
async function converted(dtype: 'f32' | 'f16', value?: number): Promise<Uint8Array> {
  const checkpoint = await openCheckpoint(goldenUrl('mu.npz'))
  const parts: Uint8Array[] = []
  await writeSafetensors(
    [...checkpoint.tensors.values()].map(({ name, shape }) => ({
      name,
      shape,
      dtype,
      values: (sink) =>
        checkpoint.read(name, (values, at) =>
          sink(
            value !== undefined && name === 'decoder/pre_logits/kernel'
              ? values.map((old, i) => (at + i ? old : value))
              : values,
            at,
          ),
        ),
    })),
    {},
    async (bytes) => void parts.push(bytes.slice()),
  )
  await checkpoint.close()
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer())
}

test('a file is loaded with its own dtype', async () => {
  for (const dtype of ['f16', 'f32'] as const) {
    await using model = await TRecViT.load(await converted(dtype), { device: 'wasm' })
    expect(model.dtype).toBe(dtype)
  }
})

test('a value beyond float16 is an error that names it', async () => {
  await expect(
    TRecViT.load(await converted('f32', 1e5), { device: 'wasm', dtype: 'f16' }),
  ).rejects.toThrow(
    '"decoder/pre_logits/kernel" expected values up to 65504 for dtype \'f16\', got 100000; ' +
      "use dtype 'f32'",
  )
  await expect(TRecViT.load(await converted('f32'), { dtype: 'int4' as 'f16' })).rejects.toThrow(
    "\"dtype\" expected 'f32', 'f16' or 'int8', got \"int4\"",
  )
})
