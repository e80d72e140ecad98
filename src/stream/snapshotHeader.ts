/** The header of a snapshot, and its check. A snapshot may be forged, so no field is trusted. */
import { decodeText } from '../platform/web.ts'
import { type Average, type State, sizeOf } from '../program/program.ts'

/** Number format of the elements of a state. */
export type StateDType = 'f32' | 'f16'

/** A state in a header. */
export interface StateHeader extends Pick<State, 'name' | 'shape'> {
  /** Number format, float32 by default. */
  readonly dtype?: StateDType
}

/** Fields of the header. */
export interface SnapshotHeader {
  /** Fingerprint of the model. */
  readonly model: string
  /** Batch size. */
  readonly b: number
  /** Frames since the reset. */
  readonly frame: number
  readonly recent: Average
  readonly states: readonly StateHeader[]
}

/**
 * Parses and checks a header. The checksum shows that the bytes are unchanged, not who wrote them.
 */
export function headerOf(
  json: Uint8Array,
  isHalved: boolean,
  fail: (what: string) => never,
): SnapshotHeader {
  let header: Partial<SnapshotHeader> | null = null
  try {
    header = JSON.parse(decodeText(json)) as Partial<SnapshotHeader>
  } catch {
    // Not JSON: the check below reports that all fields are missing.
  }
  const { model, b, frame, states } = header ?? {}
  const recent = averageOf(header?.recent)
  // The fingerprint appears in error messages, so its characters are checked.
  if (
    !(
      typeof model === 'string' &&
      /^\w{1,64}$/.test(model) &&
      isInteger(b, 1) &&
      isInteger(frame, 0) &&
      recent &&
      Array.isArray(states) &&
      states.every(isState) &&
      (isHalved || states.every(({ dtype }) => !dtype))
    )
  )
    return fail('has a header without the fields model, b, frame, recent and states')
  return { model, b, frame, recent, states }
}

function isState(state: unknown): state is StateHeader {
  const { name, shape, dtype = 'f32' } = (state ?? {}) as Partial<StateHeader>
  return (
    typeof name === 'string' &&
    isDType(dtype) &&
    Array.isArray(shape) &&
    shape.every((side) => isInteger(side, 0)) &&
    Number.isSafeInteger(sizeOf(shape))
  )
}

/**
 * Parses an average: 'all', { frames: 1..4096 } or { halfLife: up to 1e5 frames }. With a longer
 * half-life, float32 could not distinguish the weights of consecutive frames.
 * @returns the average without other fields, or null if the value is none
 */
export function averageOf(value: unknown): Average | null {
  if (value === 'all') return value
  if (value === null || typeof value !== 'object') return null
  const { frames, halfLife } = value as { frames?: unknown; halfLife?: unknown }
  if (halfLife === undefined) return isInteger(frames, 1) && frames <= 4096 ? { frames } : null
  if (frames !== undefined || typeof halfLife !== 'number') return null
  return halfLife > 0 && halfLife <= 1e5 ? { halfLife } : null
}

function isInteger(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least
}

export function isDType(value: unknown): value is StateDType {
  return value === 'f32' || value === 'f16'
}
