/**
 * Builds of the kernels (asconfig.json), and which of them this engine runs best.
 */
import simd from '../../../build/trecvit.wasm'
import { TrecvitError } from '../../error.ts'
import { builtinModule } from '../../platform/platform.ts'
import { unshared } from './kernels.ts'
import { fuses } from './probes.ts'

/**
 * `simd` and `wide` have the same bits on every engine; the relaxed ones fuse multiplication and addition. The wide ones are for an engine that
 * makes one operation of 256 bits of two of 128.
 */
export type Build = 'simd' | 'relaxed' | 'wide' | 'wide-relaxed'

/** Which builds may be taken. */
export interface BuildOptions {
  /** Only kernels with the same bits on every engine. Without it, sums of products may be rounded once where others round twice, which is faster. */
  readonly deterministic?: boolean
  /**
   * Experimental: lets V8 join pairs of 128-bit operations into 256-bit ones, which makes products up to twice as fast, in Node 24 and later on
   * x86 with AVX2. It sets flags of V8 for the whole process.
   */
  readonly experimentalRevectorize?: boolean
}

const bytesOf: Readonly<Record<Build, () => Promise<{ default: Uint8Array }>>> = {
  'simd': async () => ({ default: simd }),
  'relaxed': () => import('../../../build/relaxed.wasm'),
  'wide': () => import('../../../build/wide.wasm'),
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
    throw new TrecvitError('This JavaScript engine cannot compile WebAssembly with SIMD and atomics, which every engine since 2023 can, or its security policy forbids it (\'wasm-unsafe-eval\' allows it)', { cause })
  }
}

async function compileAnew(build: Build, shared: boolean): Promise<WebAssembly.Module> {
  const { default: bytes } = await bytesOf[build]()
  const v8 = build.startsWith('wide') && cannotRevectorize() === null ? builtinModule('node:v8') : undefined
  // Without the baseline compiler, so that what is tested is what will run.
  v8?.setFlagsFromString('--experimental-wasm-revectorize')
  v8?.setFlagsFromString('--no-liftoff')
  try {
    return await WebAssembly.compile((shared ? bytes : unshared(bytes)) as BufferSource)
  } finally {
    v8?.setFlagsFromString('--liftoff')
  }
}

/**
 * The best build that is allowed, that this engine gains by, and that passes the test.
 * @param test says what a build computes wrongly, or null
 * @returns the build, and why it is none of those that were asked for, or null
 */
export async function chooseBuild({ deterministic = false, experimentalRevectorize = false }: BuildOptions, test: (build: Build) => Promise<string | null>): Promise<{ build: Build; reason: string | null }> {
  const relaxed = !deterministic && fuses()
  const unable = experimentalRevectorize ? cannotRevectorize() : null
  const wide = experimentalRevectorize && unable === null
  const build = wide ? (relaxed ? 'wide-relaxed' : 'wide') : relaxed ? 'relaxed' : 'simd'
  if (build === 'simd') return { build, reason: unable }
  const wrong = await test(build).catch((error: Error) => error.message)
  if (wrong === null) return { build, reason: unable }
  return { build: 'simd', reason: `the build "${build}" is not used: ${wrong}` }
}

/** Why V8 cannot be asked to, or null. */
function cannotRevectorize(): string | null {
  const { versions } = (globalThis as { process?: { versions?: Record<string, string | undefined> } }).process ?? {}
  const node = versions && !versions['deno'] && !versions['bun'] ? Number(versions['node']?.split('.')[0]) : 0
  return node >= 24 ? null : 'revectorisation needs Node 24 or later'
}
