import { messageOf, TrecvitError } from '../../base/error.ts'
import { type Build, type BuildOptions, compile } from './builds.ts'
import { cpuCapabilities } from './capabilities.ts'
import { Instance } from './instance.ts'
import { createMemory } from './kernels.ts'
import { CallerThread, type Machine } from './machine.ts'
import { ThreadPool } from './threadPool.ts'

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

/** The caller's own thread as a machine. */
export async function openHere(
  build: Build = 'simd',
  wasmModule?: WebAssembly.Module,
): Promise<Machine> {
  const { sharedMemory, choices } = cpuCapabilities()
  const module = wasmModule ?? (await compile(build, sharedMemory))
  return new CallerThread(await Instance.open(module, choices, createMemory(sharedMemory)))
}

/**
 * Opens the best machine that this place allows: a pool of threads on a shared memory, one thread
 * on a memory of its own, or the caller's thread; with the reason why it is not the first.
 * @throws TrecvitError if the engine has no WebAssembly SIMD
 */
export async function openMachine(
  build: Build,
  { threads: wanted, workerUrl, wasmModule }: CpuOptions = {},
): Promise<{ machine: Machine; reason: string | null }> {
  const { sharedMemory, threads: available } = cpuCapabilities()
  const threads = wanted ?? Math.min(MOST, available)
  const module = wasmModule ?? (await compile(build, sharedMemory))
  try {
    if (sharedMemory)
      return { machine: await ThreadPool.shared(module, threads, workerUrl), reason: null }
    const reason =
      threads > 1
        ? 'one thread: memory cannot be shared here; a page needs cross-origin isolation ' +
          '(headers COOP and COEP)'
        : null
    return { machine: await ThreadPool.single(module, workerUrl), reason }
  } catch (error) {
    const why = error instanceof TrecvitError ? String(error.cause) : messageOf(error)
    return {
      machine: await openHere(build, module),
      reason: `one thread, the caller's own: workers are refused (${why})`,
    }
  }
}
