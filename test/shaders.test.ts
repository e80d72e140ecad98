/** Every shader, every entry point and every switch, in the compiler of this runtime: Tint in Node (its null backend needs no GPU), Bun and Chromium, naga in Deno and Firefox. */
import { afterAll, describe, expect, test } from 'vitest'
import { sourceOf } from '../src/backend/webgpu/sources.ts'
import type { Op } from '../src/program/program.ts'

const ops: readonly Op[] = ['patchify', 'linear', 'blockLinear', 'conv1d', 'rgLru', 'rmsNorm', 'layerNorm', 'attention', 'pool', 'average', 'softmax']

const { navigator } = globalThis as { navigator?: { gpu?: GPU } }
const entry = navigator?.gpu ?? (await import('webgpu')).create(['backend=null'])
const adapter = await entry.requestAdapter()
const subgroups = adapter?.features.has('subgroups') ?? false
const device = await adapter?.requestDevice({ requiredFeatures: subgroups ? ['subgroups'] : [] })

// What Dawn has made does not outlive its entry point.
afterAll(() => void entry)

test('there is a compiler, and in Node it knows subgroups', () => {
  expect(device).toBeDefined()
  if (!navigator?.gpu) expect(subgroups).toBe(true)
})

describe.skipIf(!device)('without an error or a warning', () => {
  test.each(subgroups ? [false, true] : [false])('with subgroups: %s', async (withSubgroups) => {
    const faults: string[] = []
    for (const op of ops) {
      const code = sourceOf(op, withSubgroups)
      device!.pushErrorScope('validation')
      const module = device!.createShaderModule({ label: op, code })
      for (const { type, lineNum, linePos, message } of (await module.getCompilationInfo()).messages) faults.push(`${op}:${lineNum}:${linePos} ${type}: ${message}`)
      const error = await device!.popErrorScope()
      if (error) {
        faults.push(`${op}: ${error.message}`)
        continue
      }
      const found = (pattern: RegExp) => [...code.matchAll(pattern)].map(([, name]) => name!)
      const entries = found(/@compute @workgroup_size\(\d+\)\s+fn (\w+)/g)
      if (!entries.length) faults.push(`${op}: no entry point`)
      // Every switch both ways: what a constant removes has been looked at only where it stays.
      const [switches, numbers] = [found(/^override (\w+): bool/gm), found(/^override (\w+): u32/gm)]
      for (const entryPoint of entries) {
        for (const constants of combinations(switches, numbers)) {
          await device!.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint, constants } })
            .catch((cause: Error) => faults.push(`${op}/${entryPoint} ${JSON.stringify(constants)}: ${cause.message}`))
        }
      }
    }
    expect(faults).toEqual([])
  })
})

/** Every choice of the switches, and 0, 1 and 2 for numbers. */
function combinations(switches: readonly string[], numbers: readonly string[]): Record<string, number>[] {
  let all: Record<string, number>[] = [{}]
  const choose = (name: string, values: readonly number[]) => (all = all.flatMap((constants) => values.map((value) => ({ ...constants, [name]: value }))))
  for (const name of switches) choose(name, [0, 1])
  for (const name of numbers) choose(name, [0, 1, 2])
  return all
}
