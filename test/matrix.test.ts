/**
 * Products by matrix units: their kernels compared with the reference, whole models with the
 * goldens, faults that must be found, and shapes of other GPUs that must compile.
 */
import { describe, expect, test } from 'vitest'
import { encode } from '../src/backend/webgpu/encode.ts'
import { lower } from '../src/backend/webgpu/int8.ts'
import { type Chosen, choose, Matrices, type MatrixShape } from '../src/backend/webgpu/matrix.ts'
import { sourceOf } from '../src/backend/webgpu/sources.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { type LoadOptions, TRecViT } from '../src/index.ts'
import { type Config, configOf, sizeNames } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import { smallPrograms } from '../src/model/smallModel.ts'
import type { Program, Weight } from '../src/program/program.ts'
import type { BackendUnderTest } from './backends.ts'
import { withMembers } from './faults.ts'
import { Goldens, goldenUrl } from './goldens.ts'
import { blockProblem, normProblem, problem } from './int8Products.ts'
import { gpu, openDevice, startDawn } from './matrices.ts'
import { models } from './models.ts'
import { expectSame, type OpCase, runOp, testOp } from './ops.ts'
import { blockLinearCase, linearCase } from './products.ts'
import { ReferenceBackend } from './reference.ts'

const tags = ['gpu', 'slow']
const floats = ['f16', 'f32'] as const
const formats = [...floats, 'int8'] as const
type Float = (typeof floats)[number]
type Format = (typeof formats)[number]
/** Largest errors of the logits of float32, relative to the largest logit. */
const BOUNDS: Record<Float, number> = { f16: 1e-2, f32: 2e-4 }
const OFF: LoadOptions = { gpuMatrix: 'off' }

/** Shapes of GPUs for float16 factors: lavapipe, Apple, NVIDIA, Intel. */
const SHAPES: readonly MatrixShape[] = [
  { M: 8, N: 8, K: 8, subgroup: 8, sized: false },
  { M: 8, N: 8, K: 8, subgroup: 32, sized: false },
  { M: 16, N: 16, K: 16, subgroup: 32, sized: false },
  { M: 8, N: 16, K: 16, subgroup: 16, sized: true },
]

const everyVariant = 'the self-test runs every variant that a model chooses, %s'
describe.each(formats)(everyVariant, { tags: 'slow' }, (dtype) => {
  const matrices = new Matrices(SHAPES[0]!, dtype)
  const variantsOf = (program: Program, room = 32768) =>
    lower(program).program.steps.map((step) => {
      const call = encode(step, dtype, room)
      const replaced = matrices.replace(call, step.sizes) ?? call
      const { op, dtype: format, entry, constants, matrix } = replaced
      return JSON.stringify([op, format, entry, constants, matrix !== undefined])
    })
  const changes: readonly Partial<Config>[] = [
    {},
    { numClasses: 174, poolType: 'gap' },
    { useMlp: true, patchSize: [8, 8], imageSize: [256, 256] },
    { width: 200, numHeads: 5, lruWidth: 300, mlpDim: 250 },
  ]
  test.each(sizeNames.flatMap((size) => changes.map((change) => ({ size, change }))))(
    '$size $change',
    ({ size, change }) => {
      const config = configOf(size, { ...change, depth: 1 })
      const [many, few] = smallPrograms(config, dtype)
      const tested = new Set([...variantsOf(many), ...variantsOf(many, 0), ...variantsOf(few)])
      for (const [b, t] of [
        [1, 1],
        [1, 8],
        [9, 1],
        [400, 2],
      ] as const) {
        const options = { b, t, pixels: 'u8', recent: 'window', encoded: b > 1 } as const
        const chosen = variantsOf(recordModel(config, { ...options, dtype }))
        expect(chosen.filter((variant) => !tested.has(variant))).toEqual([])
      }
    },
  )
})

describe.each(formats)('kernels in %s compile without an error or a warning', async (dtype) => {
  const entry = 'process' in globalThis ? await startDawn('backend=null') : undefined
  const { device } = entry ? await openDevice(entry) : ({} as never)
  const isInt8 = dtype === 'int8'
  // Of int8 an instruction multiplies twice as many.
  const shapes = SHAPES.map((shape) => (isInt8 && shape.K === 16 ? { ...shape, K: 32 } : shape))
  test.skipIf(!entry).each(shapes)('$M×$N×$K in subgroups of $subgroup', async (shape) => {
    // The null backend has little workgroup memory, and might have subgroups of 128.
    const { M, N, K, subgroup, sized } = shape
    const matrices = new Matrices(shape, dtype, {
      rows: Math.max(M, ((isInt8 ? 16 : 8) * subgroup) / K),
      columns: Math.max(N, ((isInt8 ? 32 : 8) * subgroup) / K),
      subgroups: sized ? 4 : 128 / subgroup,
    })
    for (const op of ['linear', 'blockLinear'] as const) {
      const call = { op, dtype, entry: 'main', constants: {} } as never
      const { matrix } = matrices.replace(call, { rows: 9, n: 8, blocks: 1 })!
      const code = sourceOf(op, [], dtype, matrix)
      device.pushErrorScope('validation')
      const module = device.createShaderModule({ label: op, code })
      const { messages } = await module.getCompilationInfo()
      expect(messages.map(({ message }) => message).join()).toBe('')
      for (const ALIGNED of [0, 1])
        await device.createComputePipelineAsync({
          layout: 'auto',
          compute: { module, entryPoint: 'main', constants: { ALIGNED } },
        })
      expect(await device.popErrorScope()).toBeNull()
    }
  })
})

test('"gpuMatrix" is checked', async () => {
  await expect(TRecViT.load('builtin', { gpuMatrix: 'on' as 'off' })).rejects.toThrow(
    '"gpuMatrix" expected \'auto\' or \'off\', got "on"',
  )
})

/** Returns a device with a fault in the kernels of matrix units. */
function faulty(device: GPUDevice, part: string, by: string): GPUDevice {
  return withMembers(device, {
    createShaderModule: ({ code, ...rest }: GPUShaderModuleDescriptor) => {
      if (code.includes('subgroup_matrix')) expect(code).toContain(part)
      return device.createShaderModule({ ...rest, code: code.replace(part, by) })
    },
  })
}

/** The sums of one subgroup are not added. */
const SUM_MISSING = ['part = 0u; part < SUBGROUPS', 'part = 1u; part < SUBGROUPS'] as const

/** Faults in the kernels for floats: format, name, a part of the code, and what replaces it. */
const faults: readonly [Float, string, string, string][] = [
  ...floats.flatMap((format): [Float, string, string, string][] => [
    [
      format,
      'the right operand in columns',
      'subgroupMatrixLoad<Right, row_major>',
      'subgroupMatrixLoad<Right, col_major>',
    ],
    [
      format,
      'no barrier before the sums of the subgroups are added',
      'workgroupBarrier();\n    for (var quad',
      'for (var quad',
    ],
  ]),
  [
    'f16',
    'the left operand in columns',
    'subgroupMatrixLoad<Left, row_major>',
    'subgroupMatrixLoad<Left, col_major>',
  ],
  [
    'f16',
    'no barrier before a stage is multiplied',
    'workgroupBarrier();\n    // After',
    '// After',
  ],
  ['f16', 'the sums of one subgroup missing', ...SUM_MISSING],
  ['f16', 'another row in place of the last', 'let last = min(row,', 'let last = min(row + 1u,'],
  ['f16', 'a number beyond k', '< vec4u(p.k)', '< vec4u(p.k + 1u)'],
  ['f32', 'the low part of the kernel missing', 'left, rightLow[j]', 'left, Right()'],
  ['f32', 'the low part of x missing', 'leftLow, right[j]', 'Left(), right[j]'],
  ['f32', 'rows of the kernel beyond the last', 'min(k, p.k - 1u)', 'min(k + 1u, p.k - 1u)'],
]

/** Largest errors of what the kernels round: see half.wgsl and split.wgsl. */
const ROUNDING: Record<Float, BackendUnderTest['rounding'] & object> = {
  f16: { relative: 2 ** -10, x: 2 ** -14, kernel: 0 },
  f32: { relative: 3 * 2 ** -20, x: 2 ** -24, kernel: 2 ** -24 },
}

describe.skipIf(!gpu)('on a GPU', { tags }, async () => {
  const { device, adapter } = gpu ? await openDevice(gpu) : ({} as never)
  const chosen = await Promise.all(
    formats.map(
      async (format): Promise<[Format, Chosen]> => [
        format,
        gpu ? await choose(device, adapter, format, async () => null) : { reason: '' },
      ],
    ),
  )
  const opened = Object.fromEntries(chosen) as Record<Format, Chosen>
  // Small tiles, which a software GPU compiles in a second. Models below have the usual ones.
  const small = (format: Format) =>
    new Matrices(opened[format].matrices!.shape, format, {
      ...{ rows: 16, columns: format === 'int8' ? 32 : 16, subgroups: 4 },
    })
  const on = (format: Float, given = device): BackendUnderTest => ({
    name: `${format} matrices`,
    unit: (adapter?.info.isFallbackAdapter ? 1 : 5) * 2 ** -24,
    smallest: 2 ** -126,
    finiteOnly: true,
    rounding: ROUNDING[format],
    create: (weights) => WebGpuBackend.create(given, weights, format, { matrices: small(format) }),
  })

  test.each(formats)('there are matrix units for %s', (format) =>
    expect(opened[format].reason).toBeNull(),
  )

  describe.each(floats)('%s', (format) => {
    const half = format === 'f16'
    testOp(
      'linear: tiles of 16 × 16, stages of 32 k',
      [
        ...[9, 15, 16, 17, 65].map((rows) => linearCase({ rows, k: 20, n: 8, half })),
        ...[1, 3, 4, 7, 8, 9, 28, 31, 32, 33, 36, 64, 100].map((k) =>
          linearCase({ rows: 11, k, n: 16, bias: true, half }),
        ),
        ...[8, 16, 24, 72, ...(half ? [] : [1, 5, 15, 17])].map((n) =>
          linearCase({ rows: 10, k: 8, n, bias: true, add: true, table: 3, half }),
        ),
        linearCase({ t: 3, rows: 15, k: 68, n: 40, bias: true, multiply: true, half }),
        ...(['gelu', 'tanh'] as const).map((activation) =>
          linearCase({
            ...{ rows: 50, k: 72, n: 72, activation, activated: 36, table: 7, half },
            ...{ bias: true, multiply: true, add: true },
          }),
        ),
        linearCase({ name: 'zeros', rows: 9, k: 9, n: 8, x: new Float32Array(81), half }),
        linearCase({ name: 'subnormals of float16', rows: 9, k: 9, n: 8, scale: 1e-5, half }),
        linearCase({ name: 'large', rows: 9, k: 9, n: 8, scale: 6e4, half }),
      ],
      [],
      on(format),
    )

    testOp(
      'blockLinear: tiles of 16 × 16, stages of 32 k',
      [
        ...[9, 33, 65].map((rows) => blockLinearCase({ rows, blocks: 2, k: 36, n: 40, half })),
        ...[3, 4, 31, 32, 33].map((k) => blockLinearCase({ rows: 9, blocks: 3, k, n: 8, half })),
      ],
      [],
      on(format),
    )

    test('numbers beyond float16 become the largest one', async () => {
      const op = linearCase({ rows: 9, k: 4, n: 8, kernel: new Float32Array(32).fill(0.25) })
      op.inputs['x']!.values.fill(1e6)
      const { output } = await runOp(on(format).create, op)
      expect(output).toEqual(new Float32Array(72).fill(65504))
    })

    test.each(models)('the logits of $name are near the golden ones', async (model) => {
      const want = (await Goldens.open(`${model.name}_io.npz`)).get('logits').values
      const { device, logits } = await logitsOf(model, { dtype: format, gpuMatrix: 'auto' })
      expect(device).toMatchObject({ backend: 'webgpu', reason: null })
      expect(device.kernels).toMatch(/, matrices \d+×\d+×\d+$/)
      expect(device.gpu!.matrixShapes).toHaveLength(1)
      const error = Math.max(...logits.map((value, at) => Math.abs(value - want[at]!)))
      const relative = error / Math.max(...want.map(Math.abs))
      console.log(`${model.name}: matrices in ${format} are ${relative.toExponential(1)} off`)
      expect(relative).toBeLessThan(BOUNDS[format])
    })
  })

  test.each(faults)('a planted fault is found: %s, %s', async (format, _, part, by) => {
    const half = format === 'f16'
    const op = blockLinearCase({ rows: 37, blocks: 2, k: 67, n: 40, half })
    const want = await runOp(async (weights) => new ReferenceBackend(weights), op)
    const excess = async (given: GPUDevice) => {
      const backend = on(format, given)
      const bound = op.bound(backend, want.output, 'out')
      const { output } = await runOp(backend.create, op)
      const ratios = output.map((value, at) => Math.abs(value - want.output[at]!) / bound[at]!)
      return Math.max(...ratios.map((ratio) => (Number.isNaN(ratio) ? Infinity : ratio)))
    }
    expect(await excess(device)).toBeLessThanOrEqual(1)
    expect(await excess(faulty(device, part, by))).toBeGreaterThan(1)
  })

  /** Returns the output of a product of integers, by matrix units or by the usual kernel. */
  const integerProduct = async (op: OpCase, units: boolean, given = device, gap = 0, apart = 0) => {
    const use = units ? { matrices: small('int8') } : {}
    const create = (weights: readonly Weight[]) => WebGpuBackend.create(given, weights, 'int8', use)
    return (await runOp(create, op, gap, apart)).output
  }

  /** Whether frames may be apart in memory, which an int8 kernel of blocks refuses. */
  const isApart = ({ t, weights }: OpCase) => t! > 1 && weights!['kernel']!.blocks === 1

  test.each([
    ...[9, 15, 16, 17, 33].map((rows) => problem({ rows, k: 70, n: 12, bias: true })),
    ...[1, 3, 4, 5, 8, 13, 31, 32, 33, 63, 64, 65, 129].map((k) => problem({ rows: 9, k, n: 9 })),
    ...[1, 31, 32, 33, 70].map((n) => problem({ rows: 9, k: 16, n, bias: true })),
    problem({ t: 3, rows: 15, k: 260, n: 36, bias: true, add: true, activation: 'gelu' }),
    normProblem({ norm: 'layerNorm', t: 3, rows: 15, d: 70, n: 36, tokens: [2, 9] }).op,
    ...[1, 4, 13, 33, 129].map((k) => blockProblem({ rows: 9, blocks: 2, k, n: 9 })),
    ...[1, 16, 33].map((rows) => blockProblem({ rows, blocks: 5, k: 70, n: 34 })),
    blockProblem({ t: 3, rows: 5, blocks: 3, k: 20, n: 40 }),
  ])('int8: $name has the bits of the usual kernel', async (op) => {
    for (const [gap, apart] of [[0, 0], [5, 0], ...(isApart(op) ? [[0, 2]] : [])] as const)
      expectSame(
        'the product',
        await integerProduct(op, true, device, gap, apart),
        await integerProduct(op, false, device, gap, apart),
      )
  })

  test.each([
    ['the right operand in rows', 'Right, col_major', 'Right, row_major'],
    ['the left operand in columns', 'Left, row_major', 'Left, col_major'],
    ['no barrier between the subgroups', 'workgroupBarrier();\n    for (var quad', 'for (var quad'],
    ['words beyond k', '< vec4u(p.k)', '< vec4u(p.k + 4u)'],
    ['the last row of the kernel', 'min(k, p.k - 1u)', 'min(k, max(p.k, 2u) - 2u)'],
    ['the kernel of another block', 'block * p.k + min', 'block / 2u * p.k + min'],
    ['the x of another block', 'xRow(block, row + ', 'xRow(block / 2u, row + '],
    ['the result of another block', 'finish(block,', 'finish(block / 2u,'],
    ['the scale as integers', '4u + 4u)', '4u + 3u)'],
  ])('int8: a planted fault is found: %s', async (_, part, by) => {
    const op = blockProblem({ rows: 37, blocks: 3, k: 131, n: 40 })
    const want = await integerProduct(op, false)
    expect(await integerProduct(op, true)).toEqual(want)
    expect(await integerProduct(op, true, faulty(device, part, by))).not.toEqual(want)
  })

  test.each(models)('int8: the logits of $name are those of the usual kernels', async (model) => {
    const want = await logitsOf(model, { ...OFF, dtype: 'int8' })
    const got = await logitsOf(model, { dtype: 'int8', gpuMatrix: 'auto' })
    expect(got.device).toMatchObject({ backend: 'webgpu', reason: null })
    expect(got.device.kernels).toMatch(/, matrices \d+×\d+×\d+$/)
    expectSame('the logits', got.logits, want.logits)
  })

  /** Loads a golden model and returns its logits of a clip. */
  async function logitsOf({ name, given }: (typeof models)[number], options: LoadOptions) {
    await using model = await TRecViT.load(goldenUrl(`${name}.npz`), {
      ...{ config: given, device: 'webgpu', gpu: gpu!, dtype: 'f16' },
      ...options,
    })
    const { shape, values } = (await Goldens.open(`${name}_io.npz`)).get('video')
    const video = { data: Uint8Array.from(values), shape }
    return { device: model.device, logits: (await model.forward(video)).logits.data }
  }

  test("without the option and with 'off', kernels and logits are the same", async () => {
    const [without, off] = [await logitsOf(models[1]!, {}), await logitsOf(models[1]!, OFF)]
    expect(off).toEqual(without)
    expect(off.device.gpu!.features).not.toContain('chromium-experimental-subgroup-matrix')
  })

  test('a fault in the kernel keeps the other kernels, and device.reason says why', async () => {
    const entry = {
      requestAdapter: async () => {
        const own = (await gpu!.requestAdapter())!
        return withMembers(own, {
          requestDevice: async (descriptor: GPUDeviceDescriptor) =>
            faulty(await own.requestDevice(descriptor), ...SUM_MISSING),
        })
      },
    } as GPU
    const [broken, off] = [
      await logitsOf(models[1]!, { gpu: entry, gpuMatrix: 'auto' }),
      await logitsOf(models[1]!, OFF),
    ]
    expect(broken.device.reason).toMatch(
      /^matrix units are not used: they failed the self-test: it computes "\S+" with an error of/,
    )
    expect(broken.logits).toEqual(off.logits)
  })

  test("with 'auto' but without the toggles, device.reason names the feature", async () => {
    const { create } = await import('webgpu')
    const entry = create(['enable-dawn-features=disable_workgroup_init'])
    const { device } = await logitsOf(models[1]!, { gpu: entry, gpuMatrix: 'auto' })
    expect(device.reason).toBe(
      'matrix units are not used: ' +
        'the device has no feature "chromium-experimental-subgroup-matrix"',
    )
  })
})
