/** Painting into toroidal textures: what leaves one side comes in at the other. */
import type { Random } from '../../src/train/random.ts'

/** Side of a texture in texels, a power of two. */
export const SIZE = 512

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number]

/** A texture: [SIZE, SIZE, 3]. */
export type Canvas = Uint8ClampedArray

/** Returns a number between two limits. */
export function between(random: Random, least: number, most: number): number {
  return least + (most - least) * random.uniform()
}

/** Returns a direction: the cosine and the sine of a random angle. */
export function direction(random: Random): readonly [number, number] {
  for (;;) {
    const [x, y] = [between(random, -1, 1), between(random, -1, 1)]
    const square = x * x + y * y
    if (square > 0.01 && square <= 1) return [x / Math.sqrt(square), y / Math.sqrt(square)]
  }
}

/** Returns a random colour. */
export function colour(random: Random): Colour {
  const grey = between(random, 0, 255)
  const spread = random.uniform() < 0.3 ? 0 : between(random, 0, 110)
  const part = () => Math.min(255, Math.max(0, grey + between(random, -spread, spread)))
  return [part(), part(), part()]
}

/**
 * Returns octaves of value noise, 0 to 1, [SIZE, SIZE].
 * @param first cells of the coarsest octave, a power of two
 * @param count number of octaves
 * @param gain weight of an octave, relative to the one before
 */
export function noise(random: Random, first: number, count: number, gain: number): Float32Array {
  const sum = new Float32Array(SIZE * SIZE)
  let [weight, total] = [1, 0]
  for (let cells = first, octave = 0; octave < count && cells <= SIZE / 2; octave++, cells *= 2) {
    addOctave(sum, random, cells, weight)
    total += weight
    weight *= gain
  }
  let [least, most] = [Number.POSITIVE_INFINITY, 0]
  for (const value of sum) {
    if (value < least) least = value
    if (value > most) most = value
  }
  const scale = 1 / Math.max(most - least, total / 100)
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i]! - least) * scale
  return sum
}

/** Adds noise of one size of cells, interpolated smoothly between them. */
function addOctave(sum: Float32Array, random: Random, cells: number, weight: number): void {
  const lattice = Float32Array.from({ length: cells * cells }, () => weight * random.uniform())
  const step = SIZE / cells
  const row = new Float32Array(cells + 1)
  const blend = Float32Array.from({ length: step }, (_, i) => smooth(i / step))
  for (let y = 0; y < SIZE; y++) {
    const top = Math.floor(y / step)
    const below = (top + 1) % cells
    const v = blend[y % step]!
    for (let i = 0; i <= cells; i++) {
      const upper = lattice[top * cells + (i % cells)]!
      row[i] = upper + (lattice[below * cells + (i % cells)]! - upper) * v
    }
    for (let i = 0, at = y * SIZE; i < cells; i++) {
      const [from, change] = [row[i]!, row[i + 1]! - row[i]!]
      for (let u = 0; u < step; u++) sum[at++]! += from + change * blend[u]!
    }
  }
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t)
}

/** Paints all texels in colours of a palette, by a map of values from 0 to 1. */
export function paintMap(canvas: Canvas, map: Float32Array, palette: readonly Colour[]): void {
  const last = palette.length - 1
  const table = Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * last
    const from = Math.min(last - 1, Math.floor(place))
    return mix(palette[from]!, palette[from + 1]!, place - from)
  })
  for (let i = 0; i < map.length; i++) {
    const [r, g, b] = table[Math.floor(map[i]! * 255)]!
    canvas[3 * i] = r
    canvas[3 * i + 1] = g
    canvas[3 * i + 2] = b
  }
}

function mix(one: Colour, other: Colour, share: number): Colour {
  const part = (i: number) => one[i]! + (other[i]! - one[i]!) * share
  return [part(0), part(1), part(2)]
}

/** A shape to paint. Lengths are in texels. */
export interface Shape {
  readonly kind: 'ellipse' | 'rectangle' | 'ring'
  readonly x: number
  readonly y: number
  /** Half its width and half its height, before it is turned. */
  readonly half: readonly [number, number]
  /** Cosine and sine of the angle by which it is turned. */
  readonly turn: readonly [number, number]
  /** Width of the blurred edge, relative to half the width, 0 to 1. */
  readonly soft: number
  readonly from: Colour
  /** Colour at the far end: a gradient over the width. */
  readonly to: Colour
}

/** Paints a shape. */
export function paintShape(canvas: Canvas, shape: Shape): void {
  const { kind, half, turn, soft, from, to } = shape
  const [c, s] = turn
  const [a, b] = half
  const width = Math.min(SIZE / 2, Math.ceil(Math.abs(c) * a + Math.abs(s) * b))
  const height = Math.min(SIZE / 2, Math.ceil(Math.abs(s) * a + Math.abs(c) * b))
  const [x, y] = [Math.floor(shape.x), Math.floor(shape.y)]
  for (let dy = -height; dy < height; dy++)
    for (let dx = -width; dx < width; dx++) {
      const u = (c * dx + s * dy) / a
      const v = (c * dy - s * dx) / b
      const far =
        kind === 'rectangle' ? Math.max(Math.abs(u), Math.abs(v)) : Math.sqrt(u * u + v * v)
      if (far >= 1 || (kind === 'ring' && far < 0.75)) continue
      const cover = far > 1 - soft ? (1 - far) / soft : 1
      const place = (u + 1) / 2
      const at = 3 * (((y + dy) & (SIZE - 1)) * SIZE + ((x + dx) & (SIZE - 1)))
      for (let i = 0; i < 3; i++) {
        const value = from[i]! + (to[i]! - from[i]!) * place
        canvas[at + i] = canvas[at + i]! + (value - canvas[at + i]!) * cover
      }
    }
}

/** Paints an upright rectangle without blurred edges. */
export function paintBox(
  canvas: Canvas,
  x: number,
  y: number,
  width: number,
  height: number,
  [r, g, b]: Colour,
): void {
  for (let dy = 0; dy < height; dy++)
    for (let dx = 0; dx < width; dx++) {
      const at = 3 * (((y + dy) & (SIZE - 1)) * SIZE + ((x + dx) & (SIZE - 1)))
      canvas[at] = r
      canvas[at + 1] = g
      canvas[at + 2] = b
    }
}
