/**
 * Detects mirrored tracks of MP4 and MOV. mediabunny 1.61 reads only the rotation.
 */
import { viewOf } from '../../base/bytes.ts'
import type { Rotation } from '../frame.ts'

/** Offset of the matrix in tkhd, by version. */
const MATRIX = [40, 52]

/**
 * Returns the rotation of a track whose matrix mirrors left and right; null if it does not.
 * @param tkhd body of the box
 */
export function readMirror(tkhd: Uint8Array): Rotation | null {
  const at = MATRIX[tkhd[0] ?? 0]
  if (at === undefined || tkhd.length < at + 36) return null
  const view = viewOf(tkhd)
  const [a, b, c, d] = [0, 1, 3, 4].map((slot) => view.getInt32(at + 4 * slot)) as [
    number,
    number,
    number,
    number,
  ]
  if (a * d - b * c >= 0) return null
  const quarters = Math.round(Math.atan2(-b, -a) / (Math.PI / 2))
  return (((quarters + 4) % 4) * 90) as Rotation
}
