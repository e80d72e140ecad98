/**
 * Builds of the kernels: which one is chosen, that wide builds are bit-identical to the others, and
 * the error of the relaxed builds.
 */
import { describe, expect, test } from 'vitest'
import { BUILD_BOUNDS } from '../src/backend/selfTest.ts'
import { chooseBuild } from '../src/backend/wasm/builds.ts'
import { type CpuCapabilities, cpuCapabilities } from '../src/backend/wasm/capabilities.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { quantize } from '../src/base/int8.ts'
import { keepsOrder } from '../src/platform/platform.ts'
import { scalesOf, type Weight } from '../src/program/program.ts'
import { runnable } from './backends.ts'
import { Goldens } from './goldens.ts'
import { blockProblem } from './int8Products.ts'
import { loadModel, models } from './models.ts'
import { expectSame, noise, type OpCase, rowsWeight, runOp } from './ops.ts'

const builds = await runnable()

describe.each(models)('$name', async ({ name, given }) => {
  const video = Uint8Array.from((await Goldens.open(`${name}_io.npz`)).get('video').values)
  const outputsOf = async (build: (typeof builds)[number]) => {
    const model = await loadModel(
      (weights) => WasmBackend.create(weights, undefined, build),
      name,
      given,
    )
    const session = model.session({ b: 1, recent: { frames: 2 }, encoded: true })
    return (
      await session.advance(
        video.subarray(0, 4 * 3 * model.config.imageSize[0] * model.config.imageSize[1]),
        4,
      )
    ).outputs
  }
  const want = await outputsOf('simd')

  test.each(builds.filter((build) => build !== 'simd'))('%s', async (build) => {
    for (const [output, values] of Object.entries(await outputsOf(build))) {
      if (BUILD_BOUNDS[build] === 0) {
        expectSame(output, values, want[output]!)
        continue
      }
      const largest = want[output]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const error =
        values.reduce(
          (most, value, index) => Math.max(most, Math.abs(value - want[output]![index]!)),
          0,
        ) / largest
      expect(error, output).toBeLessThanOrEqual(BUILD_BOUNDS[build])
    }
  })
})

describe('the unrolled loop of a product', () => {
  test.each([
    ['Node.js/24', true],
    ['Node.js/22', false],
    ['', false],
    ['Deno/2.9.6', true],
    ['Bun/1.4.0', false],
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, ' +
        'like Gecko) Chrome/156.0.0.0 Safari/537.36',
      true,
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', false],
  ])('in "%s": %s', (userAgent, want) => {
    expect(keepsOrder(userAgent)).toBe(want)
  })

  /** Full and partial tiles of rows, k with a remainder, pairs of panels and a single one. */
  const [rows, k, n] = [16, 51, 21]
  const { values, scales } = quantize(noise(k * n, 2), n)
  const products: readonly OpCase[] = [
    {
      kernel: { kind: 'matrix' as const, blocks: 1, rows: k, columns: n, values: noise(k * n, 2) },
    },
    {
      kernel: { kind: 'int8' as const, blocks: 1, rows: k, columns: n, values },
      [scalesOf('kernel')]: rowsWeight(1, n, scales),
    },
  ].map((weights) => ({
    name: weights.kernel.kind,
    inputs: { x: { shape: [1, 1, rows, k], values: noise(rows * k, 1) } },
    weights,
    record: (ops, inputs) => ops.linear('op', inputs['x']!, 'kernel'),
    bound: () => [],
  }))
  const all = [...products, blockProblem({ rows, blocks: 2, k, n })]
  /** Returns a backend whose kernels assume these properties of the runtime. */
  const forced =
    (build: (typeof builds)[number], unrolls: number, dots: number) =>
    async (weights: readonly Weight[]) => {
      const { instantiate } = WebAssembly
      WebAssembly.instantiate = ((module: WebAssembly.Module, { env }: WebAssembly.Imports) =>
        instantiate(module, { env: { ...env, unrolls, dots } })) as typeof instantiate
      return WasmBackend.create(weights, undefined, build).finally(
        () => (WebAssembly.instantiate = instantiate),
      )
    }

  describe.each(all)('$name', (op) => {
    test.each(builds)(
      'is exact, unrolled or not, with dot products of one instruction or two: %s',
      async (build) => {
        const { output } = await runOp(forced(build, 0, 0), op)
        for (const [unrolls, dots] of [
          [0, 1],
          [1, 0],
          [1, 1],
        ] as const)
          expectSame('y', (await runOp(forced(build, unrolls, dots), op)).output, output)
      },
    )
  })

  // A multiply-add whose operand is another one means that Binaryen has reordered steps of a sum.
  // Then registers no longer suffice (assembly/lib/tile.mjs).
  test('keeps the order of the source in Binaryen', async () => {
    const { default: bytes } = await import('../build/relaxed.wasm')
    const fused = [0xfd, 0x85, 0x02]
    const count = (sequence: number[]) =>
      bytes.reduce(
        (sum, _, at) => sum + +sequence.every((byte, offset) => bytes[at + offset] === byte),
        0,
      )
    expect(count(fused)).toBeGreaterThan(100)
    expect(count([...fused, ...fused])).toBe(0)
  })
})

/** The major version of Node, or 0. */
const node =
  'process' in globalThis && !('Deno' in globalThis) && !('Bun' in globalThis)
    ? Number(process.versions.node?.split('.')[0])
    : 0

// V8 traces which operations it merges. A single block between two of them prevents all merging in
// the loop.
if (node >= 24) {
  describe('V8 merges two operations into one', async () => {
    const { execFileSync } = await import('node:child_process')
    const flags = [
      '--experimental-wasm-revectorize',
      '--trace-wasm-revectorize',
      '--no-liftoff',
      '--no-wasm-lazy-compilation',
      '--single-threaded',
    ]
    const traceOf = ({ default: input }: { default: Uint8Array }) =>
      execFileSync(
        process.execPath,
        [...flags, '-e', 'new WebAssembly.Module(require("fs").readFileSync(0))'],
        { input, encoding: 'utf8', maxBuffer: 2 ** 30 },
      )
    const traces = {
      wide: traceOf(await import('../build/wide.wasm')),
      'wide-relaxed': traceOf(await import('../build/wide-relaxed.wasm')),
    }
    const paired = (build: keyof typeof traces, operation: string) =>
      traces[build].split(RegExp(`PackNode \\w*\\[${operation}\\]\\(`)).length - 1
    /**
     * Two pairs in a wide tile and one in a narrow tile; eight steps of k in one loop and one in
     * the next; tiles of 1 to this number of rows.
     */
    const pairs = (rows: number) => ((2 + 1) * (8 + 1) * (rows * (rows + 1))) / 2

    test.each([
      ['wide', 'F32x4Mul', pairs(5)],
      ['wide', 'I32x4DotI16x8S', pairs(5)],
      ['wide-relaxed', 'F32x4Qfma', pairs(6)],
      ['wide-relaxed', 'I32x4DotI8x16I7x16AddS', pairs(6)],
      ['wide-relaxed', 'I16x8DotI8x16I7x16S', pairs(5)],
    ] as const)('in every product of a tile: %s %s', (build, operation, least) => {
      expect(paired(build, operation)).toBeGreaterThanOrEqual(least)
    })

    test.each(['wide', 'wide-relaxed'] as const)('everywhere: %s', (build) => {
      expect(traces[build]).not.toContain('Build tree failed')
      // In gelu, sigmoid and the probabilities of attention.
      expect(paired(build, 'F32x4Div')).toBeGreaterThanOrEqual(3)
    })
  })
}

describe('the chosen build', () => {
  const passes = async (): Promise<null> => null
  const can = (fuses: boolean, revectorizes: boolean): CpuCapabilities => ({
    ...cpuCapabilities(),
    fuses,
    revectorizes,
  })
  const unable = 'revectorisation needs Node 24 or later'

  test.each([
    [can(false, false), {}, 'simd', null],
    [can(true, false), {}, 'relaxed', null],
    [can(true, true), {}, 'relaxed', null],
    [can(true, true), { deterministic: true }, 'simd', null],
    [can(true, true), { experimentalRevectorize: true }, 'wide-relaxed', null],
    [can(false, true), { experimentalRevectorize: true }, 'wide', null],
    [can(true, true), { experimentalRevectorize: true, deterministic: true }, 'wide', null],
    [can(true, false), { experimentalRevectorize: true }, 'relaxed', unable],
    [can(false, false), { experimentalRevectorize: true }, 'simd', unable],
  ] as const)(
    'follows the capabilities: %o, %j: %s',
    async (capabilities, options, build, reason) => {
      expect(await chooseBuild(options, capabilities, passes)).toEqual({ build, reason })
    },
  )

  // Bun supports the instruction but rounds twice, so it is not faster.
  const fuses = builds.includes('relaxed') && !('Bun' in globalThis)

  test('relaxed if supported and fused, never if deterministic', async () => {
    expect(await chooseBuild({}, cpuCapabilities(), passes)).toEqual({
      build: fuses ? 'relaxed' : 'simd',
      reason: null,
    })
    expect(await chooseBuild({ deterministic: true }, cpuCapabilities(), passes)).toEqual({
      build: 'simd',
      reason: null,
    })
  })

  test('wide only in Node 24 and later, with a reason if not', async () => {
    const options = { deterministic: true, experimentalRevectorize: true }
    expect(await chooseBuild(options, cpuCapabilities(), passes)).toEqual(
      node >= 24 ? { build: 'wide', reason: null } : { build: 'simd', reason: unable },
    )
  })

  test('a build that fails its self-test is not used, with a reason', async () => {
    const wrong = 'it computes "logits" with an error of 1.0e+0'
    expect(await chooseBuild({}, can(true, false), async () => wrong)).toEqual({
      build: 'simd',
      reason: `the build "relaxed" is not used: ${wrong}`,
    })
    const fails = async () => Promise.reject(new Error('no memory'))
    expect(await chooseBuild({}, can(true, false), fails)).toEqual({
      build: 'simd',
      reason: 'the build "relaxed" is not used: no memory',
    })
  })
})
