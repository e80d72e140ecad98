/** Builds of the kernels: which is chosen, that the wide ones have the bits of the others, and how far the relaxed ones are off. */
import { describe, expect, test } from 'vitest'
import { BUILD_BOUNDS } from '../src/backend/selfTest.ts'
import { chooseBuild } from '../src/backend/wasm/builds.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { runnable } from './backends.ts'
import { Goldens } from './goldens.ts'
import { loadModel, models } from './models.ts'
import { expectSame } from './ops.ts'

const builds = await runnable()

describe.each(models)('$name', async ({ name, given }) => {
  const video = Uint8Array.from((await Goldens.open(`${name}_io.npz`)).get('video').values)
  const outputsOf = async (build: (typeof builds)[number]) => {
    const model = await loadModel((weights) => WasmBackend.create(weights, undefined, build), name, given)
    const session = model.session({ b: 1, recent: { frames: 2 }, encoded: true })
    return (await session.advance(video.subarray(0, 4 * 3 * model.config.imageSize[0] * model.config.imageSize[1]), 4)).outputs
  }
  const want = await outputsOf('simd')

  test.each(builds.filter((build) => build !== 'simd'))('%s', async (build) => {
    for (const [output, values] of Object.entries(await outputsOf(build))) {
      if (BUILD_BOUNDS[build] === 0) {
        expectSame(output, values, want[output]!)
        continue
      }
      const largest = want[output]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const error = values.reduce((most, value, index) => Math.max(most, Math.abs(value - want[output]![index]!)), 0) / largest
      expect(error, output).toBeLessThanOrEqual(BUILD_BOUNDS[build])
    }
  })
})

describe('the choice', () => {
  const passes = async (): Promise<null> => null
  // Bun's engine knows the instruction and rounds twice: there nothing is gained.
  const fuses = builds.includes('relaxed') && !('Bun' in globalThis)

  test('relaxed where it is there and fuses, never when deterministic', async () => {
    expect(await chooseBuild({}, passes)).toEqual({ build: fuses ? 'relaxed' : 'simd', reason: null })
    expect(await chooseBuild({ deterministic: true }, passes)).toEqual({ build: 'simd', reason: null })
  })

  test('revectorised only by Node 24 and later, which says so', async () => {
    const node = 'process' in globalThis && !('Deno' in globalThis) && !('Bun' in globalThis) ? Number(process.versions.node?.split('.')[0]) : 0
    const chosen = await chooseBuild({ deterministic: true, experimentalRevectorize: true }, passes)
    expect(chosen).toEqual(node >= 24 ? { build: 'wide', reason: null } : { build: 'simd', reason: 'revectorisation needs Node 24 or later' })
  })

  if (fuses) {
    test('what fails its test is not used, and the reason is told', async () => {
      expect(await chooseBuild({}, async () => 'it computes "logits" with an error of 1.0e+0')).toEqual({ build: 'simd', reason: 'the build "relaxed" is not used: it computes "logits" with an error of 1.0e+0' })
      expect(await chooseBuild({}, async () => Promise.reject(new Error('no memory')))).toEqual({ build: 'simd', reason: 'the build "relaxed" is not used: no memory' })
    })
  }
})
