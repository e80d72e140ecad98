/**
 * Parses sequence parameter sets of H.264 (7.3.2.1.1, E.1.1) and HEVC (7.3.2.2, E.2.1): chroma
 * format, depth and colour.
 */
import { Bits } from './bits.ts'

/** Fields of a sequence parameter set. */
export interface Sps {
  /** chroma_format_idc, from 0 for 4:0:0 to 3 for 4:4:4. */
  readonly chroma: number
  /** Bits of a luma sample. */
  readonly depth: number
  /** matrix_coefficients (ISO 23091-2); null if unspecified. */
  readonly matrix: number | null
  /** chroma_sample_loc_type of the top field; null if unspecified. */
  readonly siting: number | null
}

/** H.264 profiles whose parameter sets contain chroma format and depth. */
const HIGH_PROFILES: ReadonlySet<number> = new Set([
  100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135,
])
const NOTHING = { matrix: null, siting: null } as const

/** @param record avcC */
export function readAvcSps(record: Uint8Array): Sps | null {
  // The set follows five bytes of the record, the number of sets and its length. Its first byte is
  // the NAL unit header.
  const profile = record[9]
  if (profile === undefined || (record[5]! & 31) === 0) return null
  const bits = new Bits(record.subarray(0, 8 + record[6]! * 256 + record[7]!), 12)
  bits.golomb()
  let [chroma, depth] = [1, 8]
  if (HIGH_PROFILES.has(profile)) {
    chroma = bits.golomb()
    if (chroma === 3) bits.skip(1)
    depth = 8 + bits.golomb()
    bits.golomb()
    bits.skip(1)
    if (bits.flag())
      for (let i = 0; i < (chroma === 3 ? 12 : 8); i++)
        // biome-ignore lint/suspicious/noDuplicateElseIf: each call reads the next bit
        if (bits.flag()) skipScalingList(bits, i < 6 ? 16 : 64)
  }
  if (chroma > 3 || bits.isOver) return null
  bits.golomb()
  const order = bits.golomb()
  if (order === 0) bits.golomb()
  if (order === 1) {
    bits.skip(1)
    skipCodes(bits, 2)
    skipCodes(bits, bits.golomb())
  }
  bits.golomb()
  bits.skip(1)
  skipCodes(bits, 2)
  if (!bits.flag()) bits.skip(1)
  bits.skip(1)
  if (bits.flag()) skipCodes(bits, 4)
  return { chroma, depth, ...(bits.flag() ? readVui(bits) : NOTHING) }
}

/** @param record hvcC */
export function readHevcSps(record: Uint8Array): Sps | null {
  const unit = hevcUnit(record, 33)
  if (unit === null) return null
  const bits = new Bits(unit, 2)
  bits.skip(4)
  const layers = bits.read(3)
  bits.skip(1)
  skipProfile(bits, layers)
  bits.golomb()
  const chroma = bits.golomb()
  if (chroma === 3) bits.skip(1)
  skipCodes(bits, 2)
  if (bits.flag()) skipCodes(bits, 4)
  const depth = 8 + bits.golomb()
  bits.golomb()
  const orderBits = bits.golomb() + 4
  skipCodes(bits, 3 * (bits.flag() ? layers + 1 : 1))
  skipCodes(bits, 6)
  if (bits.flag() && bits.flag()) skipScalingLists(bits)
  bits.skip(2)
  if (bits.flag()) {
    bits.skip(8)
    skipCodes(bits, 2)
    bits.skip(1)
  }
  skipReferenceSets(bits)
  if (bits.flag())
    for (let count = bits.golomb(); count > 0 && !bits.isOver; count--) bits.skip(orderBits + 1)
  bits.skip(2)
  if (chroma > 3 || bits.isOver) return null
  return { chroma, depth, ...(bits.flag() ? readVui(bits) : NOTHING) }
}

/** Returns the first NAL unit of a type in hvcC (ISO 14496-15 8.3.3.1). */
function hevcUnit(record: Uint8Array, type: number): Uint8Array | null {
  let at = 23
  for (let arrays = record[22] ?? 0; arrays > 0 && at + 5 <= record.length; arrays--) {
    const found = (record[at]! & 63) === type
    const count = record[at + 1]! * 256 + record[at + 2]!
    at += 3
    for (let i = 0; i < count && at + 2 <= record.length; i++) {
      const size = record[at]! * 256 + record[at + 1]!
      if (found) return record.subarray(at + 2, at + 2 + size)
      at += 2 + size
    }
  }
  return null
}

/** Reads the first fields of the video usability information, which are the same in both codecs. */
function readVui(bits: Bits): Pick<Sps, 'matrix' | 'siting'> {
  if (bits.flag() && bits.read(8) === 255) bits.skip(32)
  if (bits.flag()) bits.skip(1)
  let matrix: number | null = null
  if (bits.flag()) {
    bits.skip(4)
    if (bits.flag()) {
      bits.skip(16)
      matrix = bits.read(8)
    }
  }
  const siting = bits.flag() ? bits.golomb() : null
  return bits.isOver ? NOTHING : { matrix, siting }
}

function skipCodes(bits: Bits, count: number): void {
  for (let i = 0; i < count && !bits.isOver; i++) bits.golomb()
}

/** H.264 7.3.2.1.1.1. A list ends early if its next scale is 0. */
function skipScalingList(bits: Bits, size: number): void {
  let next = 8
  for (let i = 0; i < size && next !== 0; i++) {
    const code = bits.golomb()
    next = (next + (code % 2 === 1 ? (code + 1) / 2 : -code / 2) + 256) % 256
  }
}

/** HEVC 7.3.3. */
function skipProfile(bits: Bits, layers: number): void {
  bits.skip(96)
  const present = Array.from({ length: layers }, () => [bits.flag(), bits.flag()] as const)
  if (layers > 0) bits.skip(2 * (8 - layers))
  for (const [profile, level] of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0))
}

/** HEVC 7.3.4. */
function skipScalingLists(bits: Bits): void {
  for (let size = 0; size < 4; size++) {
    for (let matrix = 0; matrix < 6; matrix += size === 3 ? 3 : 1) {
      if (!bits.flag()) bits.golomb()
      else skipCodes(bits, Math.min(64, 1 << (4 + 2 * size)) + (size > 1 ? 1 : 0))
    }
  }
}

/** HEVC 7.3.7. */
function skipReferenceSets(bits: Bits): void {
  const sets = Math.min(64, bits.golomb())
  let pictures = 0
  for (let set = 0; set < sets && !bits.isOver; set++) {
    if (set > 0 && bits.flag()) {
      bits.skip(1)
      bits.golomb()
      let kept = 0
      for (let i = 0; i <= pictures; i++) if (bits.flag() || bits.flag()) kept++
      pictures = kept
      continue
    }
    pictures = Math.min(32, bits.golomb()) + Math.min(32, bits.golomb())
    for (let i = 0; i < pictures; i++) {
      bits.golomb()
      bits.skip(1)
    }
  }
}
