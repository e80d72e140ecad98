/**
 * Reads the orientation in EXIF, by which a stored picture is displayed upright.
 * Reference: CIPA DC-008 (EXIF 2.32), section 4.6.4, tag 274; TIFF 6.0, section 2.
 */
import { viewOf } from '../../base/bytes.ts'
import type { Rotation } from '../frame.ts'

/** A transform: mirrors from left to right if `mirrored`, then rotates clockwise. */
export interface Turn {
  readonly mirrored: boolean
  readonly rotation: Rotation
}

/** Transforms for orientations 1 to 8. */
const TURNS: readonly Turn[] = [
  { mirrored: false, rotation: 0 },
  { mirrored: true, rotation: 0 },
  { mirrored: false, rotation: 180 },
  { mirrored: true, rotation: 180 },
  { mirrored: true, rotation: 270 },
  { mirrored: false, rotation: 90 },
  { mirrored: true, rotation: 90 },
  { mirrored: false, rotation: 270 },
]

/** The transform of a picture without EXIF. */
export const UPRIGHT: Turn = TURNS[0]!

const ORIENTATION = 0x112
/** Bytes of a field: tag, type, count, value. */
const FIELD = 12

/**
 * Reads the orientation.
 * @param tiff the EXIF data, starting with its byte order mark ("II" or "MM")
 * @returns the identity if the data is damaged or has no orientation
 */
export function turnOf(tiff: Uint8Array): Turn {
  if (tiff.length < 8) return UPRIGHT
  const view = viewOf(tiff)
  const little = view.getUint16(0) === 0x4949
  if (view.getUint16(2, little) !== 42) return UPRIGHT
  // Only the first directory describes the picture; the second describes its thumbnail.
  const directory = view.getUint32(4, little)
  if (directory + 2 > tiff.length) return UPRIGHT
  const end = directory + 2 + FIELD * view.getUint16(directory, little)
  for (let at = directory + 2; at + FIELD <= Math.min(end, tiff.length); at += FIELD) {
    if (view.getUint16(at, little) !== ORIENTATION) continue
    // The type is SHORT, but some writers use LONG.
    const isLong = view.getUint16(at + 2, little) === 4
    const value = isLong ? view.getUint32(at + 8, little) : view.getUint16(at + 8, little)
    return TURNS[value - 1] ?? UPRIGHT
  }
  return UPRIGHT
}
