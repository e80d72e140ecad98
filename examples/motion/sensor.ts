/** What happens to a picture after it was taken: exposure, noise, quantisation, compression. */
import type { Random } from '../../src/train/random.ts'
import { between } from './paint.ts'

/** Values of noise. They are read from a random place on, so that a frame costs little. */
const NOISE = 8192

/** Tiles along a side of a frame. */
const TILES = 4
/** The least difference of values over so many pixels that is an edge. */
const [EDGE, REACH] = [6, 4]

/** The curve of a clear picture. */
const IDENTITY = Uint8Array.from({ length: 256 }, (_, i) => i)

/** The look of a stream: drawn once, applied to each of its frames. All of it is in integers. */
export class Sensor {
  readonly #random: Random
  readonly #view: number
  readonly #curve: readonly Uint8Array[]
  readonly #noise: Int8Array | undefined
  readonly #flicker: number
  /** Values after rounding to steps, for values from -256 to 511. */
  readonly #rounded: Uint8Array
  readonly #block: number
  readonly #threshold: number
  #last: Uint8Array | undefined

  /** @param view side of the frames in pixels */
  constructor(random: Random, view: number) {
    this.#random = random
    this.#view = view
    this.#curve = drawCurves(random)
    const sigma = random.uniform() < 0.5 ? between(random, 0.3, 6) : 0
    if (sigma)
      this.#noise = Int8Array.from({ length: NOISE }, () => Math.round(sigma * random.normal()))
    this.#flicker = random.uniform() < 0.15 ? between(random, 1, 5) : 0
    const step = random.uniform() < 0.2 ? 2 + random.below(7) : 1
    this.#rounded = Uint8Array.from({ length: 768 }, (_, i) =>
      Math.min(255, Math.max(0, Math.round((i - 256) / step) * step)),
    )
    this.#block = 3 + random.below(6)
    this.#threshold = random.uniform() < 0.4 ? between(random, 0.5, 3) : 0
  }

  /** Changes a frame [view, view, 3] in place. */
  apply(frame: Uint8Array): void {
    const random = this.#random
    const row = 3 * this.#view
    const [red, green, blue] = this.#curve as [Uint8Array, Uint8Array, Uint8Array]
    const shift = 256 + Math.round(this.#flicker * between(random, -1, 1))
    const noise = this.#noise
    const rounded = this.#rounded
    if (noise)
      for (let i = 0, from = 0; i < frame.length; i += 3) {
        if (i % row === 0) from = random.below(NOISE - row)
        frame[i] = rounded[red[frame[i]!]! + shift + noise[from++]!]!
        frame[i + 1] = rounded[green[frame[i + 1]!]! + shift + noise[from++]!]!
        frame[i + 2] = rounded[blue[frame[i + 2]!]! + shift + noise[from++]!]!
      }
    else
      for (let i = 0; i < frame.length; i += 3) {
        frame[i] = rounded[red[frame[i]!]! + shift]!
        frame[i + 1] = rounded[green[frame[i + 1]!]! + shift]!
        frame[i + 2] = rounded[blue[frame[i + 2]!]! + shift]!
      }
    if (this.#threshold) this.#skipBlocks(frame)
  }

  /** Whether a frame would show the motion: at least a quarter of its tiles have edges. */
  shows(frame: Uint8Array): boolean {
    const noise = this.#noise ? this.#noise.reduce((a, b) => Math.max(a, b), 0) : 0
    const { either } = tilesWithEdges(frame, this.#view, this.#curve[1]!, EDGE + noise)
    return either >= TILES ** 2 / 4
  }

  /** Keeps blocks of the frame before that have hardly changed, as video encoders do. */
  #skipBlocks(frame: Uint8Array): void {
    const last = this.#last
    this.#last = frame
    if (!last) return
    const limit = this.#threshold
    const block = this.#block
    const view = this.#view
    for (let y = 0; y < view; y += block)
      for (let x = 0; x < view; x += block) {
        const [width, height] = [3 * Math.min(block, view - x), Math.min(block, view - y)]
        let sum = 0
        for (let row = 0; row < height; row++)
          for (let at = 3 * ((y + row) * view + x), end = at + width; at < end; at++)
            sum += Math.abs(frame[at]! - last[at]!)
        if (sum > limit * width * height) continue
        for (let row = 0; row < height; row++) {
          const at = 3 * ((y + row) * view + x)
          frame.set(last.subarray(at, at + width), at)
        }
      }
  }
}

/** Whether a clear frame shows the motion: most of its tiles have edges in both directions. */
export function showsClearly(frame: Uint8Array, view: number): boolean {
  return tilesWithEdges(frame, view, IDENTITY, EDGE).both >= 0.75 * TILES ** 2
}

/**
 * Counts the tiles of a frame with edges of a direction, and with edges of both directions.
 * @param curve of the values that are compared
 * @param least difference that is an edge
 */
function tilesWithEdges(
  frame: Uint8Array,
  view: number,
  curve: Uint8Array,
  least: number,
): { either: number; both: number } {
  const tile = view / TILES
  let [either, both] = [0, 0]
  for (let top = 0; top < view; top += tile)
    for (let left = 0; left < view; left += tile) {
      let [edges, vertical, level] = [0, 0, 0]
      for (let y = top; y < top + tile - REACH; y += 2)
        for (let x = left; x < left + tile - REACH; x += 2) {
          const at = 3 * (y * view + x) + 1
          const here = curve[frame[at]!]!
          const across = Math.abs(here - curve[frame[at + 3 * REACH]!]!) >= least
          const down = Math.abs(here - curve[frame[at + 3 * REACH * view]!]!) >= least
          edges += +(across || down)
          vertical += +across
          level += +down
        }
      either += +(edges >= 3)
      both += +(vertical >= 3 && level >= 3)
    }
  return { either, both }
}

/** Returns tables of contrast and brightness of the three colours: often low, often dark. */
function drawCurves(random: Random): Uint8Array[] {
  const kind = random.uniform()
  const contrast = kind < 0.25 ? between(random, 0.08, 0.5) : between(random, 0.5, 1.2)
  const most = Math.max(0, 255 * (1 - contrast))
  const dark = random.uniform() < 0.5 ? 0.3 : 1
  const base = most * random.uniform() * dark
  const bend = between(random, -0.5, 0.5)
  const isNegative = random.uniform() < 0.2
  const isGrey = random.uniform() < 0.6
  return [0, 1, 2].map(() => {
    const tint = isGrey ? 1 : between(random, 0.7, 1.1)
    return Uint8Array.from({ length: 256 }, (_, i) => {
      const x = isNegative ? 1 - i / 255 : i / 255
      const value = (base + 255 * contrast * (x + bend * x * (1 - x))) * tint
      return Math.min(255, Math.max(0, Math.round(value)))
    })
  })
}
