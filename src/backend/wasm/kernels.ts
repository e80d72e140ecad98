import { TrecvitError } from '../../base/error.ts'

/** Choices between variants of kernels: the imports UNROLLS and DOTS of assembly/lib/target.ts. */
export interface Choices extends Readonly<Record<string, number>> {
  readonly unrolls: number
  readonly dots: number
}

/** The exports of assembly/index.ts. */
export interface Kernels {
  run(
    barrier: number,
    thread: number,
    threads: number,
    scratch: number,
    table: number,
    begin: number,
    end: number,
    state: number,
    frame: number,
    averageFrames: number,
  ): void
  packPanels(
    to: number,
    from: number,
    first: number,
    count: number,
    rows: number,
    width: number,
    columns: number,
    at: number,
  ): void
  packInt8(
    to: number,
    from: number,
    first: number,
    count: number,
    rows: number,
    width: number,
    columns: number,
    at: number,
  ): void
  packRows(
    to: number,
    from: number,
    first: number,
    count: number,
    width: number,
    columns: number,
    at: number,
  ): void
}

/**
 * The import of a shared memory with a maximum, as encoded in the binary: "env", "memory", kind 2,
 * limits 3.
 */
const SHARED = /* @__PURE__ */ [...'\x03env\x06memory\x02\x03'].map((character) =>
  character.charCodeAt(0),
)

/**
 * Returns the binary with an import of memory that is not shared, for environments without
 * SharedArrayBuffer. Kernels on one thread never wait.
 */
export function unshared(bytes: Uint8Array): Uint8Array {
  const at = bytes.findIndex((_, index) =>
    SHARED.every((byte, offset) => bytes[index + offset] === byte),
  )
  const changed = bytes.slice()
  changed[at + SHARED.length - 1] = 1
  return changed
}

const PAGE = 65536
/** Bytes of the barrier and the counters of claimed units (assembly/lib/barrier.ts). */
const BARRIER = 1024
/** Number of values that are packed at a time. They are copied to linear memory first. */
export const STAGE: number = 1 << 18
/** Address of the barrier. The page before it belongs to the kernels. */
export const BARRIER_AT: number = PAGE
/** Address of values that are to be packed. */
export const STAGE_AT: number = PAGE + BARRIER
/** First free address for programs, weights and states. */
export const BASE: number = STAGE_AT + 4 * STAGE

/**
 * Creates a memory of BASE bytes that can grow as far as this runtime allows. Some runtimes cannot
 * reserve 4 GiB for a shared memory.
 * @throws TrecvitError if not even 256 MiB can be reserved
 */
export function createMemory(shared: boolean): WebAssembly.Memory {
  for (let maximum = 65536; maximum >= 4096; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: pagesOf(BASE), maximum, shared })
    } catch {
      // Try a smaller maximum.
    }
  }
  throw new TrecvitError('WebAssembly could not reserve 256 MiB of memory; dispose of other models')
}

/** Number of pages for so many bytes. */
export const pagesOf = (bytes: number): number => Math.ceil(bytes / PAGE)
