/**
 * A decoded picture and how its samples lie in memory. Everything that decodes makes frames;
 * everything that looks at pixels takes them.
 */
import { TrecvitError } from '../base/error.ts'

/**
 * How a picture is stored. A number at the end is the depth, 10 or 12 bits, in 16-bit little-endian
 * words. All others have 8-bit samples.
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

/** What turns samples into colour. */
export interface Colour {
  /** YUV to RGB. `rgb`: none; `yuv444p` planes then hold G, B, R (RGB-coded H.264). */
  readonly matrix: 'bt601' | 'bt709' | 'bt2020' | 'smpte240m' | 'fcc' | 'rgb'
  /**
   * True: 0..255 is black to white; false: 16..235 (chroma 16..240), at 10 bits 4 times that, at 12
   * bits 16 times.
   */
  readonly fullRange: boolean
  /**
   * Where chroma samples sit on the luma grid. `left`: on the even columns, between the rows
   * (MPEG-2, H.264 and all that do not say); `center`: between columns and rows (JPEG); `topleft`:
   * on the even columns and rows.
   */
  readonly siting: 'left' | 'center' | 'topleft'
}

/** One array of samples. */
export interface Plane {
  /** Rows from the top, with padding where the stride is larger than a row. */
  readonly data: Uint8Array
  /** Bytes from one row to the next. */
  readonly stride: number
}

/**
 * One decoded picture: planes as the stream stored them, before any conversion. The planes are
 * copies: they stay valid for ever.
 */
export interface Frame extends Colour {
  /** How the samples are stored. */
  readonly format: FrameFormat
  /** Pixels, as stored (before rotation). */
  readonly width: number
  /** Pixels, as stored (before rotation). */
  readonly height: number
  /** Y, U, V; or one of grey; or one of interleaved RGB(A). Chroma of odd sizes is rounded up. */
  readonly planes: readonly Plane[]
  /** Seconds since the first picture. */
  readonly time: number
  /** Degrees clockwise by which the picture must be turned to be seen upright. */
  readonly rotation: Rotation
  /** True where left and right of the stored picture change places before it is turned. */
  readonly isMirrored?: boolean
  /**
   * Width of a stored pixel by its height, where it counts: the picture is shown wider by that.
   * Default 1.
   */
  readonly pixelAspect?: number
}

/** Degrees clockwise. */
export type Rotation = 0 | 90 | 180 | 270

/** The layout behind a format's name. */
export interface Layout {
  readonly planes: 1 | 3
  /** Bits by which chroma is narrower and lower than luma. */
  readonly shiftX: 0 | 1
  readonly shiftY: 0 | 1
  readonly depth: 8 | 10 | 12
  /** Interleaved samples of a pixel in one plane. */
  readonly channels: 1 | 3 | 4
}

/** Luma and two planes of chroma. */
function yuv(shiftX: 0 | 1, shiftY: 0 | 1, depth: Layout['depth']): Layout {
  return { planes: 3, shiftX, shiftY, depth, channels: 1 }
}

/** One plane. */
function packed(channels: Layout['channels'], depth: Layout['depth']): Layout {
  return { planes: 1, shiftX: 0, shiftY: 0, depth, channels }
}

/** Every format's layout. */
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

/** What RGB pictures are: full range, nothing to convert. */
export const RGB: Colour = { matrix: 'rgb', fullRange: true, siting: 'center' }

/** What the pictures of Motion JPEG are, whatever their container says. */
export const JFIF: Colour = { matrix: 'bt601', fullRange: true, siting: 'center' }

/** Bytes of a row and number of rows of each plane, without padding. */
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

/** Bytes of a whole picture without padding. */
export function frameBytes(format: FrameFormat, width: number, height: number): number {
  return planeShapes(format, width, height).reduce(
    (sum, { stride, rows }) => sum + stride * rows,
    0,
  )
}

/** The planes of a picture that lies in one array without padding; views, not copies. */
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
 * The largest picture that is read: beyond 8K video, and what keeps a hostile header from asking
 * for all memory.
 */
const MAX_SIDE = 16384
const MAX_PIXELS = 2 ** 26

/**
 * Checks the size of a picture. Every reader calls this before it allocates memory for one.
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
 * The matrix of video that does not name its own: BT.601 below 720 rows, BT.709 from there on, as
 * broadcasters and most players hold it. Untagged range is limited.
 */
export function untaggedMatrix(height: number): 'bt601' | 'bt709' {
  return height < 720 ? 'bt601' : 'bt709'
}
