/**
 * Packed and palette pixel formats of FFmpeg, converted to `rgb24` and `rgba`.
 */
import type { FrameFormat, Plane } from '../frame.ts'

/** Location of a plane. */
export interface Lines {
  readonly at: number
  /** Bytes from one row to the next; negative if rows are stored bottom-up. */
  readonly stride: number
}

/** Byte offsets of red, green, blue and alpha in a pixel, by pixel format; -1: no alpha. */
const ORDERS: Readonly<Record<string, readonly [number, number, number, number]>> = {
  bgra: [2, 1, 0, 3],
  argb: [1, 2, 3, 0],
  abgr: [3, 2, 1, 0],
  rgb0: [0, 1, 2, -1],
  bgr0: [2, 1, 0, -1],
  bgr24: [2, 1, 0, -1],
}
/** Pixel format of palette entries. */
const PALETTE = 'bgra'

/** Whether `unpack` supports a pixel format. */
export function isPacked(name: string): boolean {
  return name === 'pal8' || Object.hasOwn(ORDERS, name)
}

/**
 * Copies a picture as `rgba`, or as `rgb24` if it has no alpha.
 * @param bytes memory with the picture
 * @param palette address of the palette; unused without one
 */
export function unpack(
  name: string,
  bytes: Uint8Array,
  lines: Lines,
  palette: number,
  width: number,
  height: number,
): { format: FrameFormat; planes: Plane[] } {
  const isIndexed = name === 'pal8'
  const order = ORDERS[isIndexed ? PALETTE : name]!
  const channels = order[3] < 0 ? 3 : 4
  const step = isIndexed ? 1 : name.length === 5 ? 3 : 4
  const stride = width * channels
  const data = new Uint8Array(stride * height)
  let to = 0
  for (let y = 0; y < height; y++) {
    const row = lines.at + y * lines.stride
    for (let x = 0; x < width; x++) {
      const at = row + x * step
      const from = isIndexed ? palette + 4 * bytes[at]! : at
      for (let c = 0; c < channels; c++) data[to++] = bytes[from + order[c]!]!
    }
  }
  return { format: channels === 3 ? 'rgb24' : 'rgba', planes: [{ data, stride }] }
}
