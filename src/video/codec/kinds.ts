/**
 * The supported kinds of video, and the error for others.
 */

import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { capital } from '../source/media.ts'

/** Advice for videos that cannot be read. */
export const CONVERT = 'convert it with ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4'
/** Names of Motion JPEG in QuickTime and Matroska. mediabunny only reads its packets. */
export const MOTION_JPEG: readonly string[] = ['jpeg', 'V_MJPEG']
/** Sample entries that mediabunny supports, and Motion JPEG. */
const KINDS = /^(avc[13]|hvc1|hev1|vp0[89]|av01|jpeg|ap4[hx]|apc[hnso])$/i

/** Whether a kind of sample entry is supported. */
export function isReadable(kind: string): boolean {
  return KINDS.test(kind)
}

/** Returns the error for an unsupported kind. */
export function unsupported(video: string, kind: string): TrecvitError {
  const name = capital(video)
  if (kind === 'encv') {
    return new TrecvitError(`${name} is encrypted: give a copy without protection`)
  }
  const read = 'H.264, HEVC, VP8, VP9, AV1 and Motion JPEG are read'
  return new TrecvitError(`${name} holds video of the kind ${quote(kind)}; ${read}: ${CONVERT}`)
}
