/**
 * Compiles every shader with every entry point and every switch in this runtime: with Tint in Node
 * (its null backend needs no GPU), Bun and Chromium, with naga in Deno and Firefox.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { operations as fused, shaders } from '../src/backend/webgpu/fusions.ts'
import { addShaders, sourceOf } from '../src/backend/webgpu/sources.ts'
import { deviceDescriptor, wgslOf } from '../src/platform/gpu.ts'
import { type FusedOp, type KernelOp, OPS } from '../src/program/describe.ts'
import { addTrainingShaders } from '../src/train/gpu.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'

addTrainingShaders()
addShaders(shaders)
const FUSED_OPS = Object.keys(fused) as FusedOp[]

const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
const entry = navigator?.gpu ?? (await import('webgpu')).create(['backend=null'])
const adapter = await entry.requestAdapter()
const packedDots = wgslOf(entry)
const subgroups = adapter?.features.has('subgroups') ?? false
const device = adapter && (await adapter.requestDevice(deviceDescriptor(adapter)))
/**
 * Values of the numeric constants, as encode.ts sets them. Large workgroups only if the device has
 * enough memory (the null backend has not).
 */
const NUMBERS: Record<string, readonly number[]> = {
  MODE: [0, 1, 2],
  INVOCATIONS: (device?.limits.maxComputeWorkgroupStorageSize ?? 0) < 18688 ? [64] : [64, 128],
}

// Keeps the entry point referenced: objects of Dawn must not be used after it is collected.
afterAll(() => void entry)

test('a compiler is available, and in Node it supports subgroups and packed dot products', () => {
  expect(device).toBeTruthy()
  if (!navigator?.gpu) expect([subgroups, packedDots.length]).toEqual([true, 1])
})

describe.skipIf(!device)('without an error or a warning', () => {
  const ops: readonly KernelOp[] = [...OPS, 'quantize', ...TRAINING_OPS, ...FUSED_OPS]
  const variants = [
    ...(['f32', 'f16'] as const).flatMap((dtype) =>
      [[], ...(subgroups ? [['subgroups']] : [])].map((features) => ({ dtype, features, ops })),
    ),
    ...[[], ...(packedDots.length ? [packedDots] : [])].map((features) => ({
      dtype: 'int8' as const,
      features,
      ops: ['linear', 'blockLinear', 'recurrence'] as const,
    })),
  ]
  test.each(variants)('matrices in $dtype, with $features', async ({ dtype, features, ops }) => {
    const faults: string[] = []
    for (const op of ops) {
      const code = sourceOf(op, features, dtype)
      device!.pushErrorScope('validation')
      const module = device!.createShaderModule({ label: op, code })
      for (const { type, lineNum, linePos, message } of (await module.getCompilationInfo())
        .messages)
        faults.push(`${op}:${lineNum}:${linePos} ${type}: ${message}`)
      const error = await device!.popErrorScope()
      if (error) {
        faults.push(`${op}: ${error.message}`)
        continue
      }
      const found = (pattern: RegExp) => [...code.matchAll(pattern)].map(([, name]) => name!)
      const entries = found(/@compute @workgroup_size\(\w+\)\s+fn (\w+)/g)
      if (!entries.length) faults.push(`${op}: no entry point`)
      // Both values of every switch: code that a constant removes is not checked.
      const switches = found(/^override (\w+): bool/gm)
      const numbers = found(/^override (\w+): u32 = \d+u?;/gm)
      faults.push(
        ...numbers
          .filter((name) => !NUMBERS[name])
          .map((name) => `${op}: which values of ${name}?`),
      )
      // The null backend gives a kernel no more buffers than every GPU does.
      const buffers = found(/(var<storage)/g).length
      if (buffers > device!.limits.maxStorageBuffersPerShaderStage) continue
      for (const entryPoint of entries) {
        for (const constants of combinations(switches, numbers)) {
          await device!
            .createComputePipelineAsync({
              layout: 'auto',
              compute: { module, entryPoint, constants },
            })
            .catch((cause: Error) =>
              faults.push(`${op}/${entryPoint} ${JSON.stringify(constants)}: ${cause.message}`),
            )
        }
      }
    }
    expect(faults).toEqual([])
  })
})

/** Returns all combinations of switches and numbers. */
function combinations(
  switches: readonly string[],
  numbers: readonly string[],
): Record<string, number>[] {
  let all: Record<string, number>[] = [{}]
  const choose = (name: string, values: readonly number[]) =>
    (all = all.flatMap((constants) => values.map((value) => ({ ...constants, [name]: value }))))
  for (const name of switches) choose(name, [0, 1])
  for (const name of numbers) choose(name, NUMBERS[name] ?? [])
  return all
}
