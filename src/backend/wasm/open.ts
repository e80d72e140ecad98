import { TrecvitError } from '../../base/error.ts'
import { availableThreads } from '../../platform/worker.ts'
import { Away } from './away.ts'
import { type Build, type BuildOptions, compile } from './builds.ts'
import { Here, type Machine } from './machine.ts'
import { Team } from './team.ts'

/** How the CPU is used. */
export interface CpuOptions extends BuildOptions {
  /** Threads that compute, 1..64; as many as the machine runs at once, 8 at most, unless given. */
  readonly threads?: number
  /**
   * Where `trecvit/worker.js` is served, for pages whose security policy refuses workers from
   * `blob:`.
   */
  readonly workerUrl?: string | URL
  /** `trecvit/trecvit.wasm`, compiled, where nothing may be compiled at run time (workerd). */
  readonly wasmModule?: WebAssembly.Module
}

/**
 * Threads that are used without being asked for: on more, small frames have too little work for
 * each.
 */
const MOST = 8

const canShare = typeof SharedArrayBuffer === 'function'

/** Kernels in the caller's own thread, for small work. */
export async function openHere(
  build: Build = 'simd',
  wasmModule?: WebAssembly.Module,
): Promise<Machine> {
  return Here.open(wasmModule ?? (await compile(build, canShare)), Here.memory(canShare))
}

/**
 * Opens the best that this place allows: a team of threads beside the caller, one thread beside the
 * caller, or the caller's own; with the reason why it is not a team.
 * @throws TrecvitError if the engine has no WebAssembly SIMD
 */
export async function openMachine(
  build: Build,
  { threads = Math.min(MOST, availableThreads()), workerUrl, wasmModule }: CpuOptions = {},
): Promise<{ machine: Machine; reason: string | null }> {
  const module = wasmModule ?? (await compile(build, canShare))
  try {
    if (canShare) return { machine: await Team.start(module, threads, workerUrl), reason: null }
    const reason =
      threads > 1
        ? 'one thread: memory cannot be shared here; a page needs cross-origin isolation ' +
          '(headers COOP and COEP)'
        : null
    return { machine: await Away.start(module, workerUrl), reason }
  } catch (error) {
    const why =
      error instanceof TrecvitError ? error.cause : error instanceof Error ? error.message : error
    return {
      machine: await openHere(build, module),
      reason: `one thread, the caller's own: workers are refused (${String(why)})`,
    }
  }
}
