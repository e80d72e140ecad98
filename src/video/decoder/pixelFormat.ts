/**
 * FFmpeg's pixel formats, and the frame formats that hold the same samples.
 */
import { type FrameFormat, LAYOUTS } from '../frame.ts'
import type { Decoded } from './track.ts'

/** Layout of a decoded picture; `matrix` is set if the samples are RGB. */
export type PixelFormat = Pick<Decoded, 'format' | 'matrix'>

const DEPTHS = ['', '10le', '12le'] as const
const PLANAR = ['yuv420p', 'yuv422p', 'yuv440p', 'yuv444p', 'gbrp', 'gray'] as const

/**
 * FFmpeg's names of the formats that need no conversion. For others, ffmpeg drops alpha, converts 9
 * bits to 10 and more than 12 bits to 12, and converts 4:1:1 and 4:1:0 to 4:2:2 or 4:4:4.
 */
export const PIXEL_FORMATS: readonly string[] = [
  ...PLANAR.flatMap((layout) => DEPTHS.map((depth) => layout + depth)),
  // These names imply full range. A conversion to the plain formats would lose it.
  ...['yuvj420p', 'yuvj422p', 'yuvj440p', 'yuvj444p'],
]

/** Those and the packed formats, for files that FFmpeg demuxes, which may be animations. */
export const ALL_PIXEL_FORMATS: readonly string[] = [...PIXEL_FORMATS, 'rgb24', 'rgba']

/** Returns the frame format for FFmpeg's `name`, without alpha; null if there is none. */
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
