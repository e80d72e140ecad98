/**
 * Converts a frame to the pixels of a model's input: resized, cropped, rotated upright, RGB.
 */
import { TrecvitError } from '../../base/error.ts'
import { type Frame, LAYOUTS, planeShapes } from '../frame.ts'
import { type Matrix, makeMatrix, type Placement, writeRgb, writeYuv } from './colour.ts'
import { type Axis, makeAxis, resample, rowsNeeded, type Samples } from './resample.ts'

/** Shape of the pixels. */
export interface PixelsShape {
  /** Pixels. */
  readonly height: number
  /** Pixels. */
  readonly width: number
  /**
   * Number of crops, spread evenly along the longer side. Default 1, the centre. ViViT's protocol
   * uses 3.
   */
  readonly views?: number
  /** Index of the crop, starting at 0 (left or top). */
  readonly view?: number
}

/**
 * Returns RGB pixels [height, width, 3] in 0..255. The picture keeps its aspect ratio. It is
 * resized until it covers the shape (bilinear, antialiased when it shrinks), then cropped. Each
 * plane is resized separately, chroma from its own sample positions. The conversion to RGB rounds
 * once, at the end. The result is bit-identical in every JavaScript runtime.
 * @param into array of height * width * 3 bytes for the result; default: a new one
 * @throws TrecvitError if the shape, the view or the size of `into` is wrong, or a plane of the
 * frame is too small
 * @example
 * const data = toPixels(frame, { height: 224, width: 224 })
 */
export function toPixels(frame: Frame, shape: PixelsShape, into?: Uint8Array): Uint8Array {
  const { height, width, views = 1, view = 0 } = shape
  const ranges = [
    ['height', height, 1, 16384],
    ['width', width, 1, 16384],
    ['views', views, 1, 16384],
    ['view', view, 0, views - 1],
  ] as const
  for (const [name, value, least, most] of ranges) {
    if (Number.isInteger(value) && value >= least && value <= most) continue
    throw new TrecvitError(`${name} must be an integer from ${least} to ${most}, not ${value}`)
  }
  const size = height * width * 3
  const out = into ?? new Uint8Array(size)
  if (out.length !== size) throw new TrecvitError(`into must have ${size} bytes, not ${out.length}`)
  const plan = planFor(frame, height, width, view, views)
  const samples = samplesOf(frame)
  samples.forEach((plane, p) => {
    const { x, y } = plan.axes[p]!
    resample(plan.planes[p]!, plan.rows, plane, x, y)
  })
  const [a, b, c] = plan.planes
  if (samples.length === 1) writeRgb(out, [a!, a!, a!], plan.width, plan.matrix, plan.place)
  else if (frame.matrix !== 'rgb') writeYuv(out, plan.planes, plan.width, plan.matrix, plan.place)
  // RGB-coded video stores green, blue and red in place of Y, U and V.
  else
    writeRgb(
      out,
      LAYOUTS[frame.format].planes === 3 ? [c!, a!, b!] : plan.planes,
      plan.width,
      plan.matrix,
      plan.place,
    )
  return out
}

/** Returns the size of a resized picture, which keeps its aspect ratio and covers a shape. */
export function coveringSize(
  columns: number,
  rows: number,
  { height, width }: Pick<PixelsShape, 'height' | 'width'>,
): [width: number, height: number] {
  return columns * height > rows * width
    ? [Math.max(width, Math.round((columns * height) / rows)), height]
    : [width, Math.max(height, Math.round((rows * width) / columns))]
}

/**
 * Everything that depends only on sizes, and scratch memory. `width` is that of the crop before it
 * is rotated.
 */
interface Plan {
  readonly axes: readonly { readonly x: Axis; readonly y: Axis }[]
  readonly planes: readonly Float32Array[]
  readonly rows: Float32Array
  readonly width: number
  readonly matrix: Matrix
  readonly place: Placement
}

/** Cached plans. A program typically has one or two sizes with three views each. */
const plans = new Map<string, Plan>()
const MAX_PLANS = 16

function planFor(frame: Frame, height: number, width: number, view: number, views: number): Plan {
  const key = [
    frame.format,
    frame.width,
    frame.height,
    frame.rotation,
    frame.isMirrored,
    frame.pixelAspect,
    frame.matrix,
    frame.fullRange,
    frame.siting,
    height,
    width,
    view,
    views,
  ].join()
  let plan = plans.get(key)
  if (plan === undefined) {
    plan = makePlan(frame, height, width, view, views)
    if (plans.size >= MAX_PLANS) plans.delete(plans.keys().next().value!)
    plans.set(key, plan)
  }
  return plan
}

function makePlan(frame: Frame, height: number, width: number, view: number, views: number): Plan {
  const { format, rotation, siting, isMirrored = false, pixelAspect = 1 } = frame
  const layout = LAYOUTS[format]
  const turned = rotation === 90 || rotation === 270
  // Sizes of the whole resized picture and of the crop, as displayed upright.
  const shownW = frame.width * pixelAspect
  const [seenW, seenH] = turned ? [frame.height, shownW] : [shownW, frame.height]
  const [fullW, fullH] = coveringSize(seenW, seenH, { height, width })
  const part = (excess: number): number =>
    views === 1 ? Math.floor(excess / 2) : Math.floor((excess * view) / (views - 1))
  const left = part(fullW - width)
  const top = part(fullH - height)
  // The same crop in the stored picture, before mirroring.
  const across = { 0: left, 90: top, 180: fullW - left - width, 270: fullH - top - height }[
    rotation
  ]
  const y = { 0: top, 90: fullW - left - width, 180: fullH - top - height, 270: left }[rotation]
  const [storedW, storedH] = turned ? [fullH, fullW] : [fullW, fullH]
  const [cropW, cropH] = turned ? [height, width] : [width, height]
  const x = isMirrored ? storedW - across - cropW : across
  const count = layout.planes === 3 || layout.channels > 1 ? 3 : 1
  const axes = Array.from({ length: count }, (_, p) => {
    const chroma = p > 0 && layout.planes === 3
    const shiftX = chroma ? layout.shiftX : 0
    const shiftY = chroma ? layout.shiftY : 0
    const siteX = shiftX === 1 && siting === 'center' ? 1 : 0.5
    const siteY = shiftY === 1 && siting !== 'topleft' ? 1 : 0.5
    const axis = (
      pixels: number,
      to: number,
      offset: number,
      length: number,
      shift: 0 | 1,
      site: number,
    ): Axis =>
      makeAxis({ from: (pixels + shift) >> shift, pixels, to, offset, length, shift, site })
    return {
      x: axis(frame.width, storedW, x, cropW, shiftX, siteX),
      y: axis(frame.height, storedH, y, cropH, shiftY, siteY),
    }
  })
  return {
    axes,
    planes: axes.map(() => new Float32Array(cropW * cropH)),
    rows: new Float32Array(
      axes.reduce((most, axis) => Math.max(most, rowsNeeded(axis.y)), 0) * cropW,
    ),
    width: cropW,
    matrix: makeMatrix(frame, layout.depth),
    place: mirrorIf(isMirrored, placement(rotation, height, width), cropW),
  }
}

/**
 * Returns the target of pixels after a clockwise rotation. At 90 degrees, the left column becomes
 * the top row, and its top becomes the right end.
 */
function placement(rotation: Frame['rotation'], height: number, width: number): Placement {
  const row = width * 3
  const end = height * row - 3
  if (rotation === 0) return { start: 0, stepX: 3, stepY: row }
  if (rotation === 90) return { start: row - 3, stepX: row, stepY: -3 }
  if (rotation === 180) return { start: end, stepX: -3, stepY: -row }
  return { start: end - row + 3, stepX: -row, stepY: 3 }
}

/** Fills each row from right to left if the picture is mirrored. */
function mirrorIf(isMirrored: boolean, place: Placement, width: number): Placement {
  const { start, stepX } = place
  return isMirrored ? { ...place, start: start + (width - 1) * stepX, stepX: -stepX } : place
}

/** Returns one entry for each colour. */
function samplesOf(frame: Frame): Samples[] {
  const { depth, channels } = LAYOUTS[frame.format]
  const shapes = planeShapes(frame.format, frame.width, frame.height)
  return shapes.flatMap(({ stride: least, rows }, p): Samples[] => {
    const plane = frame.planes[p]
    const { data, stride } = plane ?? { data: new Uint8Array(0), stride: 0 }
    if (stride < least || data.length < stride * (rows - 1) + least) {
      const what = `Plane ${p} of a ${frame.width}x${frame.height} ${frame.format} frame`
      const got = `${data.length} bytes with a stride of ${stride}`
      throw new TrecvitError(`${what} expected ${rows} rows of ${least} bytes, got ${got}`)
    }
    if (depth > 8) return [{ data: words(data), stride: stride / 2, step: 1, start: 0 }]
    return Array.from({ length: Math.min(channels, 3) }, (_, start) => ({
      data,
      stride,
      step: channels,
      start,
    }))
  })
}

/** Returns 16-bit samples. A copy is needed at odd addresses. */
function words(data: Uint8Array): Uint16Array {
  const even = data.byteOffset % 2 === 0 ? data : data.slice()
  return new Uint16Array(even.buffer, even.byteOffset, even.length >> 1)
}
