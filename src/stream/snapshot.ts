import { crc32 } from '../checkpoint/crc32.ts'
import { TrecvitError } from '../error.ts'
import { decodeText, encodeText } from '../web.ts'
import { sizeOf, type Average, type State } from '../program/program.ts'

/**
 * A stream as bytes, the same for every backend:
 *
 *   ┌──────────┬─────────────┬──────────────┬────────────┬─────────────────────────┬───────────┐
 *   │ "TRVS"   │ version u32 │ header bytes │ JSON       │ states, float32, in the │ CRC-32 of │
 *   │          │             │ u32          │ header     │ order of the header     │ all before│
 *   └──────────┴─────────────┴──────────────┴────────────┴─────────────────────────┴───────────┘
 *
 * Little-endian. The header names the model by its fingerprint, and each state with its shape.
 */
const MAGIC = 0x53565254
const VERSION = 1
const MAX_HEADER = 1 << 20

/** What stands in the header. */
export interface SnapshotHeader {
  /** Fingerprint of the model. */
  readonly model: string
  /** Videos side by side. */
  readonly b: number
  /** Frames since the reset. */
  readonly frame: number
  readonly recent: Average
  readonly states: readonly State[]
}

/** A snapshot, taken apart. */
export interface Snapshot {
  readonly header: SnapshotHeader
  readonly values: readonly Float32Array[]
}

/** Bytes that the fields of a header other than `states` take at most. */
const OTHER_FIELDS = 1024

/**
 * The largest number of bytes that a snapshot with these states can have, in any form. A window
 * costs b·frames·d elements, so the limit for all streams of a model follows from the states of
 * `model.session({ b, recent: { frames: 4096 }, encoded: false })`.
 */
export function snapshotBytes(states: readonly State[]): number {
  const header = new TextEncoder().encode(JSON.stringify(states)).length + OTHER_FIELDS
  const values = states.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
  // Deflate adds at most 5 bytes to each 16 KB that it cannot compress, and its own frame.
  return 16 + header + values + Math.ceil(values / 1024) + 64
}

export function encodeSnapshot({ header, values }: Snapshot): Uint8Array {
  const json = encodeText(JSON.stringify(header))
  const size = values.reduce((sum, value) => sum + value.byteLength, 0)
  const bytes = new Uint8Array(12 + json.length + size + 4)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, VERSION, true)
  view.setUint32(8, json.length, true)
  bytes.set(json, 12)
  let at = 12 + json.length
  for (const value of values) {
    bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), at)
    at += value.byteLength
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true)
  return bytes
}

/**
 * @throws TrecvitError if the bytes are no snapshot, of another version, damaged, or do not hold what their header says
 */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const fail = (what: string): never => {
    throw new TrecvitError(`The snapshot ${what}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 16 || view.getUint32(0, true) !== MAGIC) fail(`expected to begin with "TRVS" and to have at least 16 bytes, got ${bytes.length} bytes of something else`)
  const version = view.getUint32(4, true)
  if (version !== VERSION) fail(`has version ${version}, this runtime reads version ${VERSION}; take it again with the same release`)
  const end = bytes.length - 4
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end, true)) fail('is damaged: its checksum does not fit its content')
  const headerSize = view.getUint32(8, true)
  if (headerSize > MAX_HEADER || 12 + headerSize > end) fail(`has a header of ${headerSize} bytes, more than the ${end - 12} that follow`)
  const header = headerOf(bytes.subarray(12, 12 + headerSize), fail)
  const sizes = header.states.map((state) => sizeOf(state.shape))
  const expected = sizes.reduce((sum, size) => sum + 4 * size, 0)
  if (expected !== end - 12 - headerSize) fail(`expected ${expected} bytes of states, got ${end - 12 - headerSize}`)
  let at = 12 + headerSize
  const values = sizes.map((size) => {
    // A copy, wherever the bytes lie: those of a Node Buffer are not aligned, and its own slice is no copy.
    const value = new Float32Array(size)
    new Uint8Array(value.buffer).set(bytes.subarray(at, at + 4 * size))
    at += 4 * size
    return value
  })
  return { header, values }
}

/** A correct checksum says that the bytes are as they were written, not that a friend wrote them. */
function headerOf(json: Uint8Array, fail: (what: string) => never): SnapshotHeader {
  let header: Partial<SnapshotHeader> | null = null
  try {
    header = JSON.parse(decodeText(json)) as Partial<SnapshotHeader>
  } catch {
    fail('has a header that is not JSON')
  }
  const isState = (state: unknown) => {
    const { name, shape } = (state ?? {}) as Partial<State>
    return typeof name === 'string' && Array.isArray(shape) && shape.every((side) => whole(side, 0)) && Number.isSafeInteger(sizeOf(shape))
  }
  const recent = averageOf(header?.recent)
  // A fingerprint stands in messages.
  const fits = header && typeof header.model === 'string' && /^\w{1,64}$/.test(header.model) && whole(header.b, 1) && whole(header.frame, 0) && recent &&
    Array.isArray(header.states) && header.states.every(isState)
  if (!fits) return fail('has a header without the fields model, b, frame, recent and states')
  return { ...(header as SnapshotHeader), recent }
}

/**
 * Reads an average: 'all', { frames: 1..4096 } or { halfLife: up to 1e5 frames }. Beyond that the
 * weights of two frames in turn differ by too little for float32.
 * @returns the average without other fields, or null if the value is none
 */
export function averageOf(value: unknown): Average | null {
  if (value === 'all') return value
  if (value === null || typeof value !== 'object') return null
  const { frames, halfLife } = value as { frames?: unknown; halfLife?: unknown }
  if (halfLife === undefined) return whole(frames, 1) && frames <= 4096 ? { frames } : null
  return frames === undefined && typeof halfLife === 'number' && halfLife > 0 && halfLife <= 1e5 ? { halfLife } : null
}

function whole(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least
}
