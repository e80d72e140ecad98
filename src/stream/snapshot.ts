import { describe } from '../base/array.ts'
import { crc32 } from '../base/crc32.ts'
import { TrecvitError } from '../base/error.ts'
import { fromHalves, toHalves } from '../base/f16.ts'
import { checkOptions } from '../base/options.ts'
import { asBytes } from '../base/realm.ts'
import { pauses } from '../platform/platform.ts'
import { encodeText } from '../platform/web.ts'
import { type State, sizeOf } from '../program/program.ts'
import {
  headerOf,
  isDType,
  type SnapshotHeader,
  type StateDType,
  type StateHeader,
} from './snapshotHeader.ts'

/**
 * A snapshot of a stream as bytes, the same for every backend:
 *
 *   ┌──────────┬─────────────┬──────────────┬────────────┬──────────────────────────┬───────────┐
 *   │ "TRVS"   │ version u32 │ header bytes │ JSON       │ states in the order of   │ CRC-32 of │
 *   │          │             │ u32          │ header     │ the header               │ all before│
 *   └──────────┴─────────────┴──────────────┴────────────┴──────────────────────────┴───────────┘
 *
 * Little-endian. The header contains the fingerprint of the model, and the shape of each state.
 * Version 1 has float32 states. In version 2 the header also says which states are half-precision
 * ("dtype":"f16").
 */
const MAGIC = 0x53565254
const EXACT = 1
const HALVED = 2
const MAX_HEADER = 1 << 20

/**
 * Options for a snapshot. Every backend and runtime resumes both formats. A snapshot of a stream of
 * size B has 58.1 MB in float32 and 29.1 MB in half-precision.
 */
export interface SnapshotOptions {
  /**
   * Number format of the states: 'f32' (default) is exact, 'f16' rounds them to half-precision.
   * After a resume from 'f16', logits differ by up to 2e-4 of the largest logit (measured with the
   * built-in model and with random weights of size B). Sums over all frames, and states with values
   * beyond 65504, stay float32.
   */
  readonly dtype?: StateDType
}

/** Content of a snapshot: a header, and the values of the states. */
export interface SnapshotContent {
  readonly header: Omit<SnapshotHeader, 'states'> & { readonly states: readonly State[] }
  readonly values: readonly Float32Array[]
}

/** A parsed snapshot. */
export interface Snapshot {
  readonly header: SnapshotHeader
  /** Decodes the states. */
  values(): Promise<Float32Array[]>
}

/** Largest size of all fields of a header but `states`, in bytes. */
const OTHER_FIELDS = 1024

/**
 * Returns the largest size of a snapshot with these states, in bytes. A window has b·frames·d
 * elements. So the limit for all streams of a model is that of a session with the average { frames:
 * 4096 }.
 */
export function snapshotBytes(states: readonly State[]): number {
  const longest = states.map(({ name, shape }): StateHeader => ({ name, shape, dtype: 'f16' }))
  const header = encodeText(JSON.stringify(longest)).length + OTHER_FIELDS
  const values = states.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
  return 16 + header + values
}

/** @throws TrecvitError if an option is wrong */
export function checkSnapshotOptions(options: SnapshotOptions): void {
  checkOptions('snapshot', options, { dtype: 1 })
  const { dtype = 'f32' } = options
  if (isDType(dtype)) return
  throw new TrecvitError(`"dtype" of a snapshot expected 'f32' or 'f16', got ${describe(dtype)}`)
}

/** Encodes a snapshot. */
export async function encodeSnapshot(
  { header, values }: SnapshotContent,
  { dtype = 'f32' }: SnapshotOptions = {},
): Promise<Uint8Array> {
  const pause = pauses()
  const states: StateHeader[] = []
  const parts: Uint8Array[] = []
  for (const [index, { name, shape, sum }] of header.states.entries()) {
    const value = values[index]!
    const isHalf = dtype === 'f16' && !sum && fitsHalf(value)
    states.push(isHalf ? { name, shape, dtype } : { name, shape })
    const { buffer, byteOffset, byteLength } = isHalf ? halvesOf(value) : value
    parts.push(new Uint8Array(buffer, byteOffset, byteLength))
    await pause()
  }
  const json = encodeText(JSON.stringify({ ...header, states }))

  const head = new Uint8Array(12 + json.length)
  const view = new DataView(head.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, dtype === 'f32' ? EXACT : HALVED, true)
  view.setUint32(8, json.length, true)
  head.set(json, 12)

  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, head.length + 4))
  let [at, crc] = [0, 0]
  for (const part of [head, ...parts]) {
    bytes.set(part, at)
    crc = crc32(part, crc)
    at += part.length
    await pause()
  }
  new DataView(bytes.buffer).setUint32(at, crc, true)
  return bytes
}

function halvesOf(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length)
  toHalves(values, halves)
  return halves
}

/** Whether half-precision can represent these values without turning a finite one into infinity. */
function fitsHalf(values: Float32Array): boolean {
  return values.every((value) => Math.abs(value) < 65520 || !Number.isFinite(value))
}

/**
 * Parses the header. A caller compares it with the model before the states are decoded.
 * @throws TrecvitError if the bytes are no snapshot, of another version, damaged, or of another
 * size than their header says
 */
export function decodeSnapshot(given: Uint8Array): Snapshot {
  const bytes = asBytes(given)
  if (!bytes) throw new TrecvitError(`A snapshot expected a Uint8Array, got ${describe(given)}`)
  const fail = (what: string): never => {
    throw new TrecvitError(`The snapshot ${what}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.length - 4
  if (end < 12 || view.getUint32(0, true) !== MAGIC) {
    fail(`expected to begin with "TRVS" and have 16 bytes, got ${bytes.length} bytes`)
  }
  const version = view.getUint32(4, true)
  if (version !== EXACT && version !== HALVED) {
    fail(`has version ${version}, expected 1 or 2; take it again with this release`)
  }
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end, true)) {
    fail('is damaged: its checksum does not match its content')
  }
  const headerSize = view.getUint32(8, true)
  const isRoom = headerSize <= Math.min(MAX_HEADER, end - 12)
  const header = headerOf(
    bytes.subarray(12, isRoom ? 12 + headerSize : 12),
    version === HALVED,
    fail,
  )
  const payload = bytes.subarray(12 + headerSize, end)
  const expected = header.states.reduce((sum, state) => sum + bytesOf(state), 0)
  const got = payload.length
  if (expected !== got) fail(`expected ${expected} bytes of states, got ${got}`)
  return {
    header,
    async values() {
      const pause = pauses()
      const values: Float32Array[] = []
      let at = 0
      for (const state of header.states) {
        const value = new Float32Array(sizeOf(state.shape))
        // Copied, because a snapshot may begin at an address that is no multiple of 4.
        const { buffer } = new Uint8Array(payload.subarray(at, (at += bytesOf(state))))
        if (state.dtype === 'f16') fromHalves(new Uint16Array(buffer), value)
        else value.set(new Float32Array(buffer))
        values.push(value)
        await pause()
      }
      return values
    },
  }
}

/** Returns the size of a state in a snapshot, in bytes. */
function bytesOf({ shape, dtype }: StateHeader): number {
  return (dtype === 'f16' ? 2 : 4) * sizeOf(shape)
}
