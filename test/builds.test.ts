/** Builds of the kernels: which is chosen, that the wide ones have the bits of the others, and how far the relaxed ones are off. */
import { describe, expect, test } from 'vitest'
import { BUILD_BOUNDS } from '../src/backend/selfTest.ts'
import { chooseBuild } from '../src/backend/wasm/builds.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { keepsOrder } from '../src/platform/platform.ts'
import { weightsOf } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
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

describe('four steps of a product in one turn of its loop', () => {
  test.each([
    ['Node.js/24', true], ['Node.js/22', false], ['', false], ['Deno/2.9.6', true], ['Bun/1.4.0', false],
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36', true],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', false],
  ])('in "%s": %s', (userAgent, want) => {
    expect(keepsOrder(userAgent)).toBe(want)
  })

  const [rows, k, n] = [7, 51, 21]
  const ops = new Recorder(1, 1, new Map([['kernel', { name: 'kernel', kind: 'matrix', blocks: 1, rows: k, columns: n }]]))
  const pixels = ops.pixels(1, 1, 'f32')
  const x = { ...pixels, buffer: { ...pixels.buffer, size: rows * k }, shape: [1, 1, rows, k], stride: k }
  const program = ops.end(x, { y: ops.linear('product', x, 'kernel') })
  const noise = (size: number) => Float32Array.from({ length: size }, (_, index) => Math.sin(index + 1))

  test.each(builds)('has the bits of one step a turn: %s', async (build) => {
    const own = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
    const outputs = []
    for (const userAgent of ['Node.js/22', 'Node.js/24']) {
      Object.defineProperty(globalThis, 'navigator', { value: { userAgent }, configurable: true })
      const backend = await WasmBackend.create(weightsOf(program.steps[0]!), undefined, build).finally(() => {
        if (own) Object.defineProperty(globalThis, 'navigator', own)
        else Reflect.deleteProperty(globalThis, 'navigator')
      })
      backend.write(weightsOf(program.steps[0]!)[0]!, noise(k * n), 0, n, 0)
      outputs.push(await (await backend.prepare(program)).run(await backend.createState([]), 0, noise(rows * k)))
      backend.dispose()
    }
    expectSame('y', outputs[0]!['y']!, outputs[1]!['y']!)
  })

  // A sum that is made of a sum: Binaryen has put the steps of one element together, and no register is left (assembly/lib/gemm.ts).
  test('leaves Binaryen in the order of the source', async () => {
    const { default: bytes } = await import('../build/relaxed.wasm')
    const fused = [0xfd, 0x85, 0x02]
    const count = (sequence: number[]) => bytes.reduce((sum, _, at) => sum + +sequence.every((byte, offset) => bytes[at + offset] === byte), 0)
    expect(count(fused)).toBeGreaterThan(100)
    expect(count([...fused, ...fused])).toBe(0)
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
