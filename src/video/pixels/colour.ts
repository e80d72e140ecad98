/**
 * Converts resampled planes to RGB bytes.
 */
import type { Colour } from '../frame.ts'

/**
 * Kr and Kb of ITU-R BT.601, BT.709, BT.2020 (non-constant luminance), SMPTE 240M and FCC (1953).
 */
const LUMA: Readonly<Record<Exclude<Colour['matrix'], 'rgb'>, readonly [number, number]>> = {
  bt601: [0.299, 0.114],
  bt709: [0.2126, 0.0722],
  bt2020: [0.2627, 0.0593],
  smpte240m: [0.212, 0.087],
  fcc: [0.3, 0.11],
}

/** RGB in 0..255 of samples y, u, v: `r = scale·y + offset + rv·(v − centre)` and so on. */
export interface Matrix {
  readonly scale: number
  readonly offset: number
  readonly centre: number
  readonly rv: number
  readonly gu: number
  readonly gv: number
  readonly bu: number
}

/** @param depth bits per sample */
export function makeMatrix({ matrix, fullRange }: Colour, depth: number): Matrix {
  const unit = 2 ** (depth - 8)
  const scale = fullRange ? 255 / (256 * unit - 1) : 255 / (219 * unit)
  const chroma = fullRange ? scale : 255 / (224 * unit)
  const offset = fullRange ? 0 : -16 * unit * scale
  const [kr, kb] = matrix === 'rgb' ? [0, 0] : LUMA[matrix]
  const kg = 1 - kr - kb
  return {
    scale,
    offset,
    centre: 128 * unit,
    rv: 2 * (1 - kr) * chroma,
    gu: (-2 * kb * (1 - kb) * chroma) / kg,
    gv: (-2 * kr * (1 - kr) * chroma) / kg,
    bu: 2 * (1 - kb) * chroma,
  }
}

/** Target of pixel (x, y) of the stored picture: `start + x·stepX + y·stepY`, in bytes. */
export interface Placement {
  readonly start: number
  readonly stepX: number
  readonly stepY: number
}

/** Writes Y, U, V planes [height, width] as RGB. This is the only rounding to integers. */
export function writeYuv(
  out: Uint8Array,
  [y, u, v]: readonly Float32Array[],
  width: number,
  matrix: Matrix,
  place: Placement,
): void {
  const { scale, offset, centre, rv, gu, gv, bu } = matrix
  eachPixel(y!.length, width, place, (i, to) => {
    const luma = scale * y![i]! + offset
    const cb = u![i]! - centre
    const cr = v![i]! - centre
    out[to] = level(luma + rv * cr)
    out[to + 1] = level(luma + gu * cb + gv * cr)
    out[to + 2] = level(luma + bu * cb)
  })
}

/** Writes red, green and blue planes [height, width]. For grey, all three are the same. */
export function writeRgb(
  out: Uint8Array,
  [r, g, b]: readonly Float32Array[],
  width: number,
  { scale, offset }: Matrix,
  place: Placement,
): void {
  eachPixel(r!.length, width, place, (i, to) => {
    out[to] = level(scale * r![i]! + offset)
    out[to + 1] = level(scale * g![i]! + offset)
    out[to + 2] = level(scale * b![i]! + offset)
  })
}

function eachPixel(
  count: number,
  width: number,
  { start, stepX, stepY }: Placement,
  write: (i: number, to: number) => void,
): void {
  for (let row = 0, i = 0; i < count; row++) {
    for (let x = 0, to = start + row * stepY; x < width; x++, to += stepX) write(i++, to)
  }
}

function level(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.floor(value + 0.5)
}
