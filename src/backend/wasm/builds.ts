/**
 * Builds of the kernels (asconfig.json), and which of them this engine runs best.
 */
import simd from '../../../build/trecvit.wasm'
import { TrecvitError } from '../../base/error.ts'
import { builtinModule, environment } from '../../platform/platform.ts'
import { type CpuCapabilities, cpuCapabilities } from './capabilities.ts'
import { unshared } from './kernels.ts'

/**
 * `simd` and `wide` have the same bits on every engine; the relaxed ones fuse multiplication and
 * addition. The wide ones are for an engine that makes one operation of 256 bits of two of 128.
 */
export type Build = 'simd' | 'relaxed' | 'wide' | 'wide-relaxed'

/** Which builds may be taken. */
export interface BuildOptions {
  /**
   * Only kernels with the same bits on every engine. Without it, sums of products may be rounded
   * once where others round twice, which is faster.
   */
  readonly deterministic?: boolean
  /**
   * Experimental: lets V8 join pairs of 128-bit operations into 256-bit ones, which makes products
   * up to twice as fast, in Node 24 and later on x86 with AVX2. Default false. The kernels are then
   * compiled in one turn of the event loop, of about 0.2 s, in which flags of V8 are changed for
   * the whole process; afterwards they are as before.
   */
  readonly experimentalRevectorize?: boolean
}

const bytesOf: Readonly<Record<Build, () => Promise<{ default: Uint8Array }>>> = {
  simd: async () => ({ default: simd }),
  relaxed: () => import('../../../build/relaxed.wasm'),
  wide: () => import('../../../build/wide.wasm'),
  'wide-relaxed': () => import('../../../build/wide-relaxed.wasm'),
}

const compiled = new Map<string, Promise<WebAssembly.Module>>()

/**
 * A build, for memory that is shared or not.
 * @throws TrecvitError if the engine has no WebAssembly SIMD, or not that of the build
 */
export async function compile(build: Build, shared: boolean): Promise<WebAssembly.Module> {
  const key = `${build} ${shared}`
  try {
    if (!compiled.has(key)) compiled.set(key, compileAnew(build, shared))
    return await compiled.get(key)!
  } catch (cause) {
    compiled.delete(key)
    throw new TrecvitError(
      'This JavaScript engine cannot compile WebAssembly with SIMD and atomics; ' +
        "use one of 2023 or later, and 'wasm-unsafe-eval' in its security policy",
      { cause },
    )
  }
}

async function compileAnew(build: Build, shared: boolean): Promise<WebAssembly.Module> {
  const { default: bytes } = await bytesOf[build]()
  const binary = (shared ? bytes : unshared(bytes)) as BufferSource
  const revectorize = build.startsWith('wide') && cpuCapabilities().revectorizes
  return revectorize ? withFlags(() => new WebAssembly.Module(binary)) : WebAssembly.compile(binary)
}

/**
 * Flags of V8, and their opposites: join pairs of operations, in the optimising compiler alone,
 * before the first call. V8 of Node 26 inlines by the feedback of the other compiler and fails
 * without it.
 */
const FLAGS = [
  ['--experimental-wasm-revectorize', '--no-experimental-wasm-revectorize'],
  ['--no-liftoff', '--liftoff'],
  ['--no-wasm-lazy-compilation', '--wasm-lazy-compilation'],
  ['--no-wasm-inlining', '--wasm-inlining'],
] as const

/**
 * Calls a function with FLAGS set. There is no `await` before they are as they were, so no other
 * code runs with them.
 */
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
 * The best build that is allowed, that this engine gains by, and that passes the test.
 * @param capabilities of the engine
 * @param test says what a build computes wrongly, or null
 * @returns the build, and why it is none of those that were asked for, or null
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
