/** Builds of the kernels (asconfig.json), and the choice of the fastest for this runtime. */
import simd from '../../../build/trecvit.wasm'
import { TrecvitError } from '../../base/error.ts'
import { builtinModule, environment } from '../../platform/platform.ts'
import { type CpuCapabilities, cpuCapabilities } from './capabilities.ts'
import { unshared } from './kernels.ts'

/**
 * Builds of the kernels. Results of `simd` and `wide` are bit-identical on every runtime. The
 * relaxed builds may fuse multiplication and addition. The wide builds are for runtimes that merge
 * two 128-bit operations into one of 256 bits.
 */
export type Build = 'simd' | 'relaxed' | 'wide' | 'wide-relaxed'

/** Options for the choice of a build. */
export interface BuildOptions {
  /**
   * Use only kernels whose results are bit-identical on every runtime. By default a runtime may
   * round a multiply-add once instead of twice, which is faster.
   */
  readonly deterministic?: boolean
  /**
   * Experimental: lets V8 merge pairs of 128-bit operations into 256-bit ones. Products take about
   * half the time in Node 24 and later on x86 with AVX2. Default false. The kernels are then
   * compiled in one turn of the event loop, of about 0.2 s. During this turn flags of V8 are
   * changed for the whole process.
   */
  readonly experimentalRevectorize?: boolean
}

/** How the binary of each build is loaded. */
export type Binaries = Readonly<Record<Build, () => Promise<{ default: Uint8Array }>>>

const inference: Binaries = {
  simd: async () => ({ default: simd }),
  relaxed: () => import('../../../build/relaxed.wasm'),
  wide: () => import('../../../build/wide.wasm'),
  'wide-relaxed': () => import('../../../build/wide-relaxed.wasm'),
}

/** Modules for memory that is not shared and that is. */
const compiled = [false, true].map(() => new Map<Binaries[Build], Promise<WebAssembly.Module>>())

/**
 * Compiles a build, for memory that is shared or not.
 * @param binaries kernels of inference by default
 * @throws TrecvitError if the runtime does not support WebAssembly SIMD, or the instructions of the
 * build
 */
export async function compile(
  build: Build,
  shared: boolean,
  binaries: Binaries = inference,
): Promise<WebAssembly.Module> {
  const modules = compiled[+shared]!
  const load = binaries[build]
  try {
    if (!modules.has(load)) modules.set(load, compileAnew(build, shared, load))
    return await modules.get(load)!
  } catch (cause) {
    modules.delete(load)
    throw new TrecvitError(
      'This JavaScript runtime cannot compile WebAssembly with SIMD and atomics; use one of 2023 ' +
        "or later, and allow 'wasm-unsafe-eval' in the Content Security Policy",
      { cause },
    )
  }
}

async function compileAnew(
  build: Build,
  shared: boolean,
  load: Binaries[Build],
): Promise<WebAssembly.Module> {
  const { default: bytes } = await load()
  const binary = (shared ? bytes : unshared(bytes)) as BufferSource
  const revectorize = build.startsWith('wide') && cpuCapabilities().revectorizes
  return revectorize ? withFlags(() => new WebAssembly.Module(binary)) : WebAssembly.compile(binary)
}

/**
 * Flags of V8 and their opposites: merge pairs of operations, use only the optimising compiler,
 * compile before the first call, and do not inline. V8 of Node 26 inlines by feedback of the
 * baseline compiler, and fails without that feedback.
 */
const FLAGS = [
  ['--experimental-wasm-revectorize', '--no-experimental-wasm-revectorize'],
  ['--no-liftoff', '--liftoff'],
  ['--no-wasm-lazy-compilation', '--wasm-lazy-compilation'],
  ['--no-wasm-inlining', '--wasm-inlining'],
] as const

/** Calls a function with FLAGS set. It must not await: other code would run with the flags. */
function withFlags<T>(call: () => T): T {
  const { setFlagsFromString } = builtinModule('node:v8')!
  const { execArgv } = (globalThis as unknown as { process: { execArgv: string[] } }).process
  const given = [...execArgv, ...(environment('NODE_OPTIONS') ?? '').split(/\s+/)]
  const changed = FLAGS.filter(([flag]) => !given.includes(flag))
  for (const [flag] of changed) setFlagsFromString(flag)
  try {
    return call()
  } finally {
    for (const [, opposite] of changed) setFlagsFromString(opposite)
  }
}

/**
 * Chooses the fastest build that is allowed, supported and passes the test.
 * @param capabilities of the runtime
 * @param test returns what a build computes wrongly, or null
 * @returns the build, and why a faster build that was asked for is not used, or null
 */
export async function chooseBuild(
  { deterministic = false, experimentalRevectorize = false }: BuildOptions,
  { fuses, revectorizes }: CpuCapabilities,
  test: (build: Build) => Promise<string | null>,
): Promise<{ build: Build; reason: string | null }> {
  const relaxed = !deterministic && fuses
  const wide = experimentalRevectorize && revectorizes
  const unable = wide || !experimentalRevectorize ? null : 'revectorisation needs Node 24 or later'
  const build = wide ? (relaxed ? 'wide-relaxed' : 'wide') : relaxed ? 'relaxed' : 'simd'
  if (build === 'simd') return { build, reason: unable }
  const wrong = await test(build).catch((error: Error) => error.message)
  if (wrong === null) return { build, reason: unable }
  return { build: 'simd', reason: `the build "${build}" is not used: ${wrong}` }
}
