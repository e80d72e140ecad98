import { messageOf, TrecvitError } from '../../base/error.ts'
import { type Build, type BuildOptions, compile } from './builds.ts'
import { cpuCapabilities } from './capabilities.ts'
import { Instance } from './instance.ts'
import { createMemory } from './kernels.ts'
import { CallerThread, type Machine } from './machine.ts'
import { ThreadPool } from './threadPool.ts'

/** Options for the CPU. */
export interface CpuOptions extends BuildOptions {
  /**
   * Number of threads, 1..64. By default as many as the machine runs at the same time, at most 8.
   */
  readonly threads?: number
  /**
   * URL of `trecvit/worker.js`, for pages whose Content Security Policy refuses workers from
   * `blob:`.
   */
  readonly workerUrl?: string | URL
  /** `trecvit/trecvit.wasm`, compiled, for runtimes that cannot compile at run time (workerd). */
  readonly wasmModule?: WebAssembly.Module
}

/** The most threads by default. With more, small frames have too little work for each thread. */
const MOST = 8

/** Opens a machine on the caller's thread. */
export async function openHere(
  build: Build = 'simd',
  wasmModule?: WebAssembly.Module,
): Promise<Machine> {
  const { sharedMemory, choices } = cpuCapabilities()
  const module = wasmModule ?? (await compile(build, sharedMemory))
  return new CallerThread(await Instance.open(module, choices, createMemory(sharedMemory)))
}

/**
 * Opens the fastest machine that the environment allows: a pool of threads on a shared memory, one
 * worker with a memory of its own, or the caller's thread. Also returns why a faster machine is not
 * used.
 * @throws TrecvitError if the runtime does not support WebAssembly SIMD
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
      reason: `the calling thread only: workers are refused (${why})`,
    }
  }
}
