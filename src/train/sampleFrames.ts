/** Pixels of a crop of frames, bilinear, with other colours. */

/** Part of a frame that is read. */
export interface Crop {
  /** Pixels of the frame for a pixel of the result. */
  readonly ratio: number
  /** Edges of the crop, in pixels of the frame. */
  readonly top: number
  readonly left: number
  readonly isFlipped: boolean
}

/** Factors; 1 changes nothing. */
export interface Colour {
  readonly brightness: number
  /** Of the difference to the mean grey of all frames. */
  readonly contrast: number
  /** Of the difference to the grey of the pixel. */
  readonly saturation: number
}

/** Red, green and blue in grey (ITU-R BT.601). */
const [RED, GREEN, BLUE] = [0.299, 0.587, 0.114] as const

/**
 * Returns the crop of each frame, resized.
 * @param frames bytes [height, width, 3]
 * @returns bytes [t, h, w, 3]. Only this result is rounded
 */
export function sampleFrames(
  frames: readonly Uint8Array[],
  [height, width]: readonly [number, number],
  [h, w]: readonly [number, number],
  { ratio, top, left, isFlipped }: Crop,
  { brightness, contrast, saturation }: Colour,
): Uint8Array {
  const rows = taps(h, height, top, ratio, false)
  const columns = taps(w, width, left, ratio, isFlipped)
  const factor = brightness * contrast
  const offset = brightness * (1 - contrast) * meanGrey(frames)
  const out = new Uint8Array(frames.length * h * w * 3)
  const mixed = [0, 0, 0] as [number, number, number]
  let to = 0
  for (const pixels of frames)
    for (const row of rows) {
      const above = row.first * width
      const below = row.second * width
      for (const column of columns) {
        const a = (above + column.first) * 3
        const b = (above + column.second) * 3
        const c = (below + column.first) * 3
        const d = (below + column.second) * 3
        for (let i = 0; i < 3; i++) {
          const upper = pixels[a + i]! + (pixels[b + i]! - pixels[a + i]!) * column.share
          const lower = pixels[c + i]! + (pixels[d + i]! - pixels[c + i]!) * column.share
          mixed[i] = factor * (upper + (lower - upper) * row.share) + offset
        }
        const grey = RED * mixed[0] + GREEN * mixed[1] + BLUE * mixed[2]
        for (const value of mixed) out[to++] = level(grey + saturation * (value - grey))
      }
    }
  return out
}

/** Two pixels that a pixel of the result lies between, and the share of the second. */
interface Tap {
  readonly first: number
  readonly second: number
  readonly share: number
}

function taps(
  count: number,
  length: number,
  edge: number,
  ratio: number,
  isFlipped: boolean,
): Tap[] {
  const all = Array.from({ length: count }, (_, i) => {
    const at = Math.min(length - 1, Math.max(0, edge + (i + 0.5) * ratio - 0.5))
    const first = Math.floor(at)
    return { first, second: Math.min(first + 1, length - 1), share: at - first }
  })
  return isFlipped ? all.reverse() : all
}

function meanGrey(frames: readonly Uint8Array[]): number {
  let [red, green, blue, count] = [0, 0, 0, 0]
  for (const pixels of frames) {
    for (let i = 0; i < pixels.length; i += 3) {
      red += pixels[i]!
      green += pixels[i + 1]!
      blue += pixels[i + 2]!
    }
    count += pixels.length / 3
  }
  return (RED * red + GREEN * green + BLUE * blue) / count
}

function level(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.floor(value + 0.5)
}
