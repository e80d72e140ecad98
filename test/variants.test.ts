/**
 * Variants of kernels: the self-test runs all variants that a model can use. A fault in one of them
 * prevents use of the device.
 */
import { describe, expect, test } from 'vitest'
import type { MatrixDType } from '../src/backend/backend.ts'
import { GPU_BOUND, selfTest } from '../src/backend/selfTest.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { encode } from '../src/backend/webgpu/encode.ts'
import { lower, operations } from '../src/backend/webgpu/fusions.ts'
import * as int8 from '../src/backend/webgpu/int8.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { checkpointBytes, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { TRecViT } from '../src/index.ts'
import { type Config, configOf, sizeNames } from '../src/model/config.ts'
import { type ProgramOptions, recordModel } from '../src/model/graph.ts'
import { smallPrograms } from '../src/model/smallModel.ts'
import { addDescriptions } from '../src/program/describe.ts'
import { type Program, weightsOf } from '../src/program/program.ts'
import { withMembers } from './faults.ts'
import { full, gpu, openDevice } from './gpu.ts'

addDescriptions(operations)

/** A device that fuses all it can. */
const fused = {
  limits: {
    ...{ maxBufferSize: 0, maxStorageBufferBindingSize: 0, maxComputeWorkgroupStorageSize: 0 },
    maxStorageBuffersPerShaderStage: 10,
  },
}

/** Returns the variants of a program on a device with this many bytes of workgroup memory. */
function variantsOf(program: Program, room: number): string[] {
  return lower(program, int8, fused).program.steps.map((step) => {
    const { op, dtype, entry, constants } = encode(step, 'f32', room)
    return JSON.stringify([op, dtype, entry, constants])
  })
}

/** Returns the variants that the self-test runs for a model. */
function testedOf(config: Config, dtype: MatrixDType, room: number): string[] {
  const [many, few] = smallPrograms(config, dtype)
  return [...variantsOf(many, room), ...variantsOf(many, 0), ...variantsOf(few, room)]
}

/** Returns programs of all kinds, from one row of a head to many tiles of each product. */
function programsOf(config: Config, dtype: MatrixDType): Program[] {
  const usual: ProgramOptions = {
    ...{ b: 1, t: 1, pixels: 'u8', recent: 'window', encoded: false },
    dtype,
  }
  const others: Partial<ProgramOptions>[] = [
    { pixels: 'f32', encoded: true },
    { recent: 'halfLife' },
    { t: 2 },
    { b: 8 },
    { b: 9, encoded: true },
    { t: 16 },
    { b: 400, t: 2 },
  ]
  return [{}, ...others].map((options) => recordModel(config, { ...usual, ...options }))
}

describe('the self-test runs every variant that a model chooses', () => {
  const changes: Readonly<Record<string, Partial<Config>>> = {
    official: {},
    'other classes': { numClasses: 174, poolType: 'gap' },
    'without a head': { numClasses: 0, repSize: 0 },
    'with an MLP': { useMlp: true, patchSize: [8, 8], imageSize: [256, 256] },
    'small pictures': { imageSize: [32, 48], repSize: 41 },
  }
  const odd: readonly Partial<Config>[] = [
    { width: 20, numHeads: 2, lruWidth: 28, mlpDim: 36, patchSize: [8, 8] },
    { width: 36, numHeads: 3, lruWidth: 33, mlpDim: 50, numClasses: 7 },
    { width: 200, numHeads: 5, lruWidth: 300, mlpDim: 250 },
    { width: 135, numHeads: 3, lruWidth: 510, mlpDim: 129 },
    { width: 96, numHeads: 1, lruWidth: 192, patchSize: [15, 15], imageSize: [30, 45] },
  ]
  const configs = [
    ...sizeNames.flatMap((size) =>
      Object.entries(changes).map(([name, change]) => ({
        title: `${size}, ${name}`,
        config: configOf(size, { ...change, depth: 2 }),
        tags: size === 'mu' ? [] : ['slow'],
      })),
    ),
    ...odd.map((change) => ({
      title: JSON.stringify(change),
      config: configOf('mu', { imageSize: [32, 32], ...change }),
      tags: [],
    })),
  ]

  for (const { title, config, tags } of configs)
    test(title, { tags }, () => {
      for (const dtype of ['f32', 'int8'] as const) {
        const programs = programsOf(config, dtype)
        for (const room of [32768, 16384]) {
          const chosen = new Set(programs.flatMap((program) => variantsOf(program, room)))
          const tested = new Set(testedOf(config, dtype, room))
          expect([...chosen].filter((variant) => !tested.has(variant))).toEqual([])
        }
      }
    })

  test('in a model of some thousand weights', () => {
    for (const size of ['Ti', 'B'] as const) {
      const weights = smallPrograms(configOf(size), 'f32').flatMap(({ steps }) =>
        steps.flatMap(weightsOf),
      )
      const sizes = new Map(
        weights.map(({ name, blocks, rows, columns }) => [name, blocks * rows * columns]),
      )
      expect([...sizes.values()].reduce((sum, one) => sum + one, 0)).toBeLessThan(120_000)
    }
  })
})

describe('the bound', () => {
  const programs = smallPrograms(configOf('mu'), 'f32')
  /** Returns the CPU backend with one wrong value in the last chunk. The error is relative. */
  const off = (error: number) =>
    selfTest(programs, 2e-5, async (weights) => {
      const backend = await WasmBackend.create(weights)
      let left = 3
      return withMembers(backend, {
        prepare: async (program: Program) => {
          const replay = await backend.prepare(program)
          return withMembers(replay, {
            run: async (...args: Parameters<typeof replay.run>) => {
              const outputs = await replay.run(...args)
              const values = outputs['window/logits']!
              if (--left === 0) values[0]! += error * Math.max(...values.map(Math.abs))
              return outputs
            },
          })
        },
      })
    })

  test('accepts smaller errors', async () => {
    expect(await off(0)).toBeNull()
    expect(await off(1e-5)).toBeNull()
  })

  test.each([4e-5, 1, NaN, Infinity])('finds an error of %d in one value', async (error) => {
    expect(await off(error)).toMatch(/^it computes "window\/logits" with an error of/)
  })
})

/** Returns a device that compiles other code for pipelines with these constants. */
function faulty(
  device: GPUDevice,
  constants: Readonly<Record<string, number>>,
  change: (code: string) => string,
): GPUDevice {
  const codes = new Map<GPUShaderModule, string>()
  const { createShaderModule, createComputePipelineAsync } = device
  return withMembers(device, {
    createShaderModule: (descriptor: GPUShaderModuleDescriptor) => {
      const module = createShaderModule.call(device, descriptor)
      codes.set(module, descriptor.code)
      return module
    },
    createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => {
      const { compute } = descriptor
      const code = codes.get(compute.module)!
      const hit = Object.entries(constants).every(
        ([name, value]) => compute.constants?.[name] === value,
      )
      const module = hit ? createShaderModule.call(device, { code: change(code) }) : compute.module
      return createComputePipelineAsync.call(device, {
        ...descriptor,
        compute: { ...compute, module },
      })
    },
  })
}

describe.skipIf(!gpu)('a fault in one variant on a GPU', { tags: ['gpu', 'slow'] }, async () => {
  const device = full ? await openDevice(full) : undefined!
  const config = configOf('mu', { imageSize: [32, 32], numClasses: 6 })
  /** Omits the first slice of k. */
  const shortSum = (code: string) =>
    replaced(code, 'slice = 0u; slice < SLICES', 'slice = 1u; slice < SLICES')

  test.each([
    ['the tile of 64', { INVOCATIONS: 64 }],
    ['the tile of 128', { INVOCATIONS: 128 }],
    ['products whose k is no multiple of a stage', { INVOCATIONS: 128, WHOLE: 0 }],
    ['products of rows at any address', { INVOCATIONS: 64, ALIGNED: 0 }],
    ['the tile of 64 with int8 matrices', { INVOCATIONS: 64 }, 'int8'],
  ] as [string, Record<string, number>, 'int8'?][])('%s', async (_, constants, dtype) => {
    const wrong = await selfTest(smallPrograms(config, dtype ?? 'f32'), GPU_BOUND, (weights) =>
      WebGpuBackend.create(faulty(device, constants, shortSum), weights),
    )
    expect(wrong).toMatch(/^it computes "\S+" with an error of/)
  })

  test('bytes as pixels', async () => {
    const wrong = await selfTest(smallPrograms(config, 'f32'), GPU_BOUND, (weights) =>
      WebGpuBackend.create(
        faulty(device, { BYTES: 1 }, (code) => replaced(code, '255u', '254u')),
        weights,
      ),
    )
    expect(wrong).toMatch(/^it computes "\S+" with an error of/)
  })

  test('keeps the model on the CPU, and device.reason says why', async () => {
    const entry = {
      requestAdapter: async () => {
        const adapter = (await gpu!.requestAdapter())!
        return withMembers(adapter, {
          info: withMembers(adapter.info, { isFallbackAdapter: false }),
          // The shared device of all tests, whose pipelines are already compiled.
          requestDevice: async () =>
            withMembers(faulty(device, { INVOCATIONS: 64 }, shortSum), { destroy: () => {} }),
        })
      },
    } as GPU
    const bytes = await checkpointBytes(randomCheckpoint(config, 5))
    await using model = await TRecViT.load(bytes, { gpu: entry })
    expect(model.device).toMatchObject({
      backend: 'wasm',
      reason: expect.stringContaining('is not used: it failed the self-test: it computes "'),
    })
  })
})

/** Replaces a part of the code. Fails if the code does not contain it. */
function replaced(code: string, part: string, by: string): string {
  expect(code).toContain(part)
  return code.replace(part, by)
}
