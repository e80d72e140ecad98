/**
 * A decoded picture and the layout of its samples in memory. All decoders output frames.
 */
import { TrecvitError } from '../base/error.ts'

/**
 * Format of a stored picture. A number at the end is the depth: 10 or 12 bits, in 16-bit
 * little-endian words. All other formats have 8-bit samples.
 */
export type FrameFormat =
  | 'yuv420p'
  | 'yuv422p'
  | 'yuv440p'
  | 'yuv444p'
  | 'yuv420p10'
  | 'yuv422p10'
  | 'yuv440p10'
  | 'yuv444p10'
  | 'yuv420p12'
  | 'yuv422p12'
  | 'yuv440p12'
  | 'yuv444p12'
  | 'gray'
  | 'gray10'
  | 'gray12'
  | 'rgb24'
  | 'rgba'

/** How samples are converted to RGB. */
export interface Colour {
  /** YUV matrix. `rgb`: no conversion; planes of `yuv444p` are then G, B, R (RGB-coded H.264). */
  readonly matrix: 'bt601' | 'bt709' | 'bt2020' | 'smpte240m' | 'fcc' | 'rgb'
  /**
   * True: black to white is 0..255. False: 16..235 (chroma 16..240). At 10 bits the limits are 4
   * times as large, at 12 bits 16 times.
   */
  readonly fullRange: boolean
  /**
   * Position of chroma samples relative to luma. `left`: on even columns, between rows (MPEG-2,
   * H.264 and the default). `center`: between columns and rows (JPEG). `topleft`: on even columns
   * and rows.
   */
  readonly siting: 'left' | 'center' | 'topleft'
}

/** One array of samples. */
export interface Plane {
  /** Rows from the top. A stride larger than a row adds padding. */
  readonly data: Uint8Array
  /** Bytes from one row to the next. */
  readonly stride: number
}

/**
 * A decoded picture: planes as stored in the stream, without any conversion. The planes are copies
 * and stay valid.
 */
export interface Frame extends Colour {
  /** How the samples are stored. */
  readonly format: FrameFormat
  /** Pixels, as stored (before rotation). */
  readonly width: number
  /** Pixels, as stored (before rotation). */
  readonly height: number
  /** Y, U, V; or one plane of grey or interleaved RGB(A). Chroma sizes are rounded up. */
  readonly planes: readonly Plane[]
  /** Seconds since the first picture. */
  readonly time: number
  /** Clockwise rotation to display the picture upright, in degrees. */
  readonly rotation: Rotation
  /** True if the stored picture is mirrored from left to right before it is rotated. */
  readonly isMirrored?: boolean
  /**
   * Width of a stored pixel divided by its height. `toPixels` widens the picture by this factor.
   * Default 1.
   */
  readonly pixelAspect?: number
}

/** Degrees clockwise. */
export type Rotation = 0 | 90 | 180 | 270

/** The layout of a frame format. */
export interface Layout {
  readonly planes: 1 | 3
  /** log2 of the subsampling of chroma, horizontally and vertically. */
  readonly shiftX: 0 | 1
  readonly shiftY: 0 | 1
  readonly depth: 8 | 10 | 12
  /** Samples of a pixel that are interleaved in one plane. */
  readonly channels: 1 | 3 | 4
}

/** Returns the layout of one luma and two chroma planes. */
function yuv(shiftX: 0 | 1, shiftY: 0 | 1, depth: Layout['depth']): Layout {
  return { planes: 3, shiftX, shiftY, depth, channels: 1 }
}

/** Returns the layout of one plane. */
function packed(channels: Layout['channels'], depth: Layout['depth']): Layout {
  return { planes: 1, shiftX: 0, shiftY: 0, depth, channels }
}

/** Layouts by frame format. */
export const LAYOUTS: Readonly<Record<FrameFormat, Layout>> = {
  yuv420p: yuv(1, 1, 8),
  yuv422p: yuv(1, 0, 8),
  yuv440p: yuv(0, 1, 8),
  yuv444p: yuv(0, 0, 8),
  yuv420p10: yuv(1, 1, 10),
  yuv422p10: yuv(1, 0, 10),
  yuv440p10: yuv(0, 1, 10),
  yuv444p10: yuv(0, 0, 10),
  yuv420p12: yuv(1, 1, 12),
  yuv422p12: yuv(1, 0, 12),
  yuv440p12: yuv(0, 1, 12),
  yuv444p12: yuv(0, 0, 12),
  gray: packed(1, 8),
  gray10: packed(1, 10),
  gray12: packed(1, 12),
  rgb24: packed(3, 8),
  rgba: packed(4, 8),
}

/** Colour of RGB pictures, which need no conversion. */
export const RGB: Colour = { matrix: 'rgb', fullRange: true, siting: 'center' }

/** Colour of Motion JPEG. It overrides the container. */
export const JFIF: Colour = { matrix: 'bt601', fullRange: true, siting: 'center' }

/** Returns the bytes per row and the number of rows of each plane, without padding. */
export function planeShapes(
  format: FrameFormat,
  width: number,
  height: number,
): { stride: number; rows: number }[] {
  const { planes, shiftX, shiftY, depth, channels } = LAYOUTS[format]
  const bytes = depth > 8 ? 2 : 1
  const shapes = [{ stride: width * channels * bytes, rows: height }]
  for (let p = 1; p < planes; p++)
    shapes.push({ stride: ((width + shiftX) >> shiftX) * bytes, rows: (height + shiftY) >> shiftY })
  return shapes
}

/** Returns the bytes of a picture without padding. */
export function frameBytes(format: FrameFormat, width: number, height: number): number {
  return planeShapes(format, width, height).reduce(
    (sum, { stride, rows }) => sum + stride * rows,
    0,
  )
}

/** Splits an array without padding into the planes of a picture. They are views, not copies. */
export function splitPlanes(
  format: FrameFormat,
  width: number,
  height: number,
  data: Uint8Array,
): Plane[] {
  let at = 0
  return planeShapes(format, width, height).map(({ stride, rows }) => {
    const plane = { data: data.subarray(at, at + stride * rows), stride }
    at += stride * rows
    return plane
  })
}

/**
 * Largest accepted picture: more than 8K video. The limit prevents a malicious header from
 * allocating all memory.
 */
const MAX_SIDE = 16384
const MAX_PIXELS = 2 ** 26

/**
 * Checks the size of a picture. Every reader calls this before it allocates memory for a picture.
 * @param what name of the picture, for the error
 * @param maxPixels largest number of pixels, 2^26 by default
 * @throws TrecvitError if width or height is not an integer from 1 to 16384, or the picture has
 * more pixels than that
 */
export function checkSize(
  what: string,
  width: number,
  height: number,
  maxPixels: number = MAX_PIXELS,
): void {
  const side = (n: number): boolean => Number.isInteger(n) && n >= 1 && n <= MAX_SIDE
  if (side(width) && side(height) && width * height <= maxPixels) return
  throw new TrecvitError(
    `${what} is ${width}x${height} pixels: sides must be integers from 1 to ${MAX_SIDE}, ` +
      `with at most ${maxPixels} pixels together`,
  )
}

/**
 * Returns the matrix of untagged video: BT.601 below 720 rows, BT.709 otherwise, as broadcasters
 * and most players do. Untagged range is limited.
 */
export function untaggedMatrix(height: number): 'bt601' | 'bt709' {
  return height < 720 ? 'bt601' : 'bt709'
}
