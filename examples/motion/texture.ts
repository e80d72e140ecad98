/** Drawn scenes: flat areas, gradients, noise, shapes, text, screens and facades. */
import type { Random } from '../../src/train/random.ts'
import {
  between,
  type Canvas,
  type Colour,
  colour,
  direction,
  noise,
  paintBox,
  paintMap,
  paintShape,
  type Shape,
  SIZE,
} from './paint.ts'

/** A scene in several sizes: `levels[i]` is [SIZE/2ⁱ, SIZE/2ⁱ, 3], bytes. */
export interface Texture {
  readonly levels: readonly Uint8ClampedArray[]
}

/** Number of sizes of a texture. */
const LEVELS = 5

/** Draws a scene. */
export function drawTexture(random: Random): Texture {
  const canvas: Canvas = new Uint8ClampedArray(SIZE * SIZE * 3)
  paintGround(canvas, random)
  const layers = 1 + random.below(3)
  for (let i = 0; i < layers; i++) LAYERS[random.below(LAYERS.length)]!(canvas, random)
  const levels = [canvas]
  while (levels.length < LEVELS) levels.push(half(levels.at(-1)!))
  return { levels }
}

/** Layers over the ground. A kind that is listed twice is twice as frequent. */
const LAYERS: readonly ((canvas: Canvas, random: Random) => void)[] = [
  (canvas, random) => paintShapes(canvas, random, 4 + random.below(12), 30, 140),
  (canvas, random) => paintShapes(canvas, random, 10 + random.below(60), 8, 60),
  (canvas, random) => paintShapes(canvas, random, 30 + random.below(250), 2, 22),
  (canvas, random) => paintPages(canvas, random, 1 + random.below(5)),
  (canvas, random) => paintPages(canvas, random, 3 + random.below(10)),
  paintFacade,
  paintBlobs,
  () => {},
]

/** Paints the ground: one colour, a gradient, a horizon, or noise. */
function paintGround(canvas: Canvas, random: Random): void {
  const kind = random.uniform()
  if (kind < 0.2) return paintBox(canvas, 0, 0, SIZE, SIZE, colour(random))
  if (kind < 0.35) {
    const map = noise(random, 2, 1 + random.below(2), 0.3)
    return paintMap(canvas, map, [colour(random), colour(random)])
  }
  const first = 2 ** (1 + random.below(5))
  const map = noise(random, first, 1 + random.below(8), between(random, 0.35, 0.95))
  const contrast = random.uniform() < 0.3 ? between(random, 0.05, 0.4) : 1
  const base = colour(random)
  const near = (): Colour => {
    const [r, g, b] = colour(random)
    const part = (i: number, value: number) => base[i]! + (value - base[i]!) * contrast
    return [part(0, r), part(1, g), part(2, b)]
  }
  paintMap(canvas, map, Array.from({ length: 2 + random.below(4) }, near))
  if (kind < 0.5) {
    const sky = { kind: 'rectangle', turn: [1, 0], soft: 0, from: colour(random) } as const
    const height = between(random, 60, 200)
    paintShape(canvas, { ...sky, x: 256, y: 256, half: [SIZE, height], to: colour(random) })
  }
}

/** Paints shapes of random kinds, angles and colours. */
function paintShapes(
  canvas: Canvas,
  random: Random,
  count: number,
  least: number,
  most: number,
): void {
  const kinds = ['ellipse', 'rectangle', 'rectangle', 'ring'] as const
  const palette = Array.from({ length: 2 + random.below(6) }, () => colour(random))
  const isUpright = random.uniform() < 0.4
  const isThin = random.uniform() < 0.25
  for (let i = 0; i < count; i++) {
    const u = random.uniform()
    const size = least + (most - least) * u * u
    const from = palette[random.below(palette.length)]!
    const shape: Shape = {
      kind: kinds[random.below(kinds.length)]!,
      x: between(random, 0, SIZE),
      y: between(random, 0, SIZE),
      half: [size, isThin ? 1 + random.below(4) : size * between(random, 0.2, 1)],
      turn: isUpright ? [1, 0] : direction(random),
      soft: random.uniform() < 0.7 ? 0.02 : between(random, 0.1, 1),
      from,
      to: random.uniform() < 0.7 ? from : palette[random.below(palette.length)]!,
    }
    paintShape(canvas, shape)
  }
}

/** Paints large soft spots, as of faces, clouds and out-of-focus scenes. */
function paintBlobs(canvas: Canvas, random: Random): void {
  const count = 3 + random.below(20)
  for (let i = 0; i < count; i++) {
    const from = colour(random)
    const size = between(random, 15, 130)
    paintShape(canvas, {
      kind: 'ellipse',
      x: between(random, 0, SIZE),
      y: between(random, 0, SIZE),
      half: [size, size * between(random, 0.5, 1)],
      turn: direction(random),
      soft: between(random, 0.3, 1),
      from,
      to: from,
    })
  }
}

/** Paints pages and windows with lines of text. */
function paintPages(canvas: Canvas, random: Random, count: number): void {
  for (let i = 0; i < count; i++) {
    const [x, y] = [random.below(SIZE), random.below(SIZE)]
    const [width, height] = [50 + random.below(250), 30 + random.below(250)]
    const isDark = random.uniform() < 0.4
    const level = (value: number): Colour => [value, value, value]
    const paper = random.uniform() < 0.3 ? colour(random) : level(isDark ? 30 : 235)
    const ink = random.uniform() < 0.3 ? colour(random) : level(isDark ? 210 : 30)
    if (random.uniform() < 0.7) paintBox(canvas, x, y, width, height, paper)
    if (random.uniform() < 0.4) paintBox(canvas, x, y, width, 10, colour(random))
    paintText(canvas, random, x + 6, y + 14, width - 12, height - 20, ink)
  }
}

/** Paints lines of words of random glyphs: 3 × 5 dots each. */
function paintText(
  canvas: Canvas,
  random: Random,
  x: number,
  y: number,
  width: number,
  height: number,
  ink: Colour,
): void {
  const dot = 1 + random.below(random.uniform() < 0.3 ? 7 : 3)
  const spacing = dot * (7 + random.below(4))
  for (let line = 0; line + 5 * dot <= height; line += spacing) {
    const end = width * (random.uniform() < 0.3 ? random.uniform() : 1)
    for (let column = 0; column + 3 * dot <= end; column += 4 * dot) {
      if (random.uniform() < 0.17) continue
      const glyph = random.integer()
      for (let bit = 0; bit < 15; bit++)
        if ((glyph >>> bit) & 1 || bit % 3 === 0)
          paintBox(
            canvas,
            x + column + (bit % 3) * dot,
            y + line + Math.floor(bit / 3) * dot,
            dot,
            dot,
            ink,
          )
    }
  }
}

/** Paints a grid: windows of a house, tiles, bricks, shelves. */
function paintFacade(canvas: Canvas, random: Random): void {
  const [stepX, stepY] = [10 + random.below(70), 10 + random.below(70)]
  const [width, height] = [between(random, 0.3, 0.95) * stepX, between(random, 0.3, 0.95) * stepY]
  const [left, top] = [random.below(SIZE), random.below(SIZE)]
  const [columns, rows] = [2 + random.below(10), 2 + random.below(10)]
  const palette = [colour(random), colour(random), colour(random)]
  const shift = random.uniform() < 0.4 ? Math.floor(stepX / 2) : 0
  for (let row = 0; row < rows && row * stepY < SIZE; row++)
    for (let column = 0; column < columns && column * stepX < SIZE; column++) {
      const x = left + column * stepX + (row % 2) * shift
      const tint = palette[random.uniform() < 0.8 ? 0 : random.below(3)]!
      paintBox(canvas, x, top + row * stepY, width, height, tint)
    }
}

/** Returns a texture of half the size: means of 2 × 2 texels. */
function half(from: Uint8ClampedArray): Uint8ClampedArray {
  const size = Math.sqrt(from.length / 3)
  const to = new Uint8ClampedArray(from.length / 4)
  let at = 0
  for (let y = 0; y < size; y += 2)
    for (let x = 0; x < size; x += 2)
      for (let i = 0; i < 3; i++) {
        const upper = 3 * (y * size + x) + i
        const lower = upper + 3 * size
        to[at++] = (from[upper]! + from[upper + 3]! + from[lower]! + from[lower + 3]! + 2) >> 2
      }
  return to
}
