/**
 * FFmpeg's pixel formats, and the frame formats that hold the same samples.
 */
import { type FrameFormat, LAYOUTS } from '../frame.ts'
import type { Decoded } from './track.ts'

/** Layout of a decoded picture; `matrix` is given where the samples are RGB. */
export type PixelFormat = Pick<Decoded, 'format' | 'matrix'>

const DEPTHS = ['', '10le', '12le'] as const
const PLANAR = ['yuv420p', 'yuv422p', 'yuv440p', 'yuv444p', 'gbrp', 'gray'] as const

/**
 * FFmpeg's names of the formats that need no conversion. Of the rest, ffmpeg converts alpha by
 * dropping it, 9 bits to 10, more than 12 bits to 12, and 4:1:1 and 4:1:0 to 4:2:2 or 4:4:4.
 */
export const PIXEL_FORMATS: readonly string[] = [
  ...PLANAR.flatMap((layout) => DEPTHS.map((depth) => layout + depth)),
  // The full range that these names carry would be lost in a conversion to the plain ones.
  ...['yuvj420p', 'yuvj422p', 'yuvj440p', 'yuvj444p'],
]

/** Those and the packed ones: for files that FFmpeg takes apart, which may hold animations. */
export const ALL_PIXEL_FORMATS: readonly string[] = [...PIXEL_FORMATS, 'rgb24', 'rgba']

/** Returns the frame format of FFmpeg's `name`, without its alpha plane; null if there is none. */
export function pixelFormat(name: string): PixelFormat | null {
  const plain = name
    .replace(/^yuv[ja]/, 'yuv')
    .replace('gbrap', 'gbrp')
    .replace(/le$/, '')
  const isRgb = plain.startsWith('gbrp')
  const format = plain.replace('gbrp', 'yuv444p') as FrameFormat
  if (!Object.hasOwn(LAYOUTS, format)) return null
  return isRgb ? { format, matrix: 'rgb' } : { format }
}
