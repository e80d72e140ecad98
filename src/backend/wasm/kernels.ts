import { TrecvitError } from '../../base/error.ts'

/** Numbers by which the kernels choose code: UNROLLS and DOTS of assembly/lib/target.ts. */
export interface Choices extends Readonly<Record<string, number>> {
  readonly unrolls: number
  readonly dots: number
}

/** What assembly/index.ts exports. */
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
  packWhole(
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
 * The import of a memory that is shared and has a maximum, as it stands in the binary: "env",
 * "memory", kind 2, limits 3.
 */
const SHARED = /* @__PURE__ */ [...'\x03env\x06memory\x02\x03'].map((character) =>
  character.charCodeAt(0),
)

/**
 * The same binary for a memory that is not shared, for where there is no SharedArrayBuffer; kernels
 * of one thread never wait.
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
/** Bytes where threads meet between two steps (assembly/lib/team.ts). */
const BARRIER = 1024
/** Values that are packed at a time: they pass through linear memory. */
export const STAGE: number = 1 << 18
/** Where threads meet. The page before it belongs to the kernels. */
export const BARRIER_AT: number = PAGE
/** Where values lie before they are packed. */
export const STAGE_AT: number = PAGE + BARRIER
/** First byte that is free for programs, weights and states. */
export const BASE: number = STAGE_AT + 4 * STAGE

/**
 * A memory of BASE bytes that can grow as far as this runtime allows: some do not reserve 4 GiB for
 * a shared one.
 * @throws TrecvitError if not even 256 MiB can be had
 */
export function createMemory(shared: boolean): WebAssembly.Memory {
  for (let maximum = 65536; maximum >= 4096; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: pagesOf(BASE), maximum, shared })
    } catch {
      // Less, then.
    }
  }
  throw new TrecvitError('WebAssembly expected room for 256 MiB of memory; dispose of other models')
}

/** Pages of so many bytes. */
export const pagesOf = (bytes: number): number => Math.ceil(bytes / PAGE)
