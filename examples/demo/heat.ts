/** Draws numbers as colours over a picture. */
import type { Reply } from './messages.ts'

/**
 * Colours from small to large: dark blue, violet, red, orange, pale yellow. Lightness increases, so
 * people with colour vision deficiency can read them, too.
 */
export const RAMP = [
  [20, 16, 70],
  [110, 25, 130],
  [205, 55, 85],
  [250, 140, 40],
  [252, 250, 190],
] as const

/**
 * Draws a map over the part of a picture that the model sees: the largest crop of its shape, in the
 * middle.
 * @param opacity 0..1
 */
export function paint(
  overlay: HTMLCanvasElement,
  { width, height }: HTMLCanvasElement,
  map: Extract<Reply, { type: 'map' }> | null,
  opacity: number,
): void {
  if (overlay.width !== width || overlay.height !== height)
    [overlay.width, overlay.height] = [width, height]
  const context = overlay.getContext('2d')!
  context.clearRect(0, 0, width, height)
  if (!map) return
  const scale = Math.min(width / map.size[1], height / map.size[0])
  const [wide, high] = [scale * map.size[1], scale * map.size[0]]
  context.globalAlpha = opacity
  context.drawImage(tileOf(map), (width - wide) / 2, (height - high) / 2, wide, high)
  context.globalAlpha = 1
  context.strokeStyle = 'rgb(255 255 255 / 0.5)'
  context.strokeRect((width - wide) / 2 + 0.5, (height - high) / 2 + 0.5, wide - 1, high - 1)
}

/** One pixel per patch. The largest value is the most opaque. */
function tileOf({
  values,
  grid: [rows, columns],
}: Extract<Reply, { type: 'map' }>): OffscreenCanvas {
  const tile = new OffscreenCanvas(columns, rows)
  const image = new ImageData(columns, rows)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  values.forEach((value, index) => {
    const share = (value - least) / (most - least || 1)
    image.data.set([...colourOf(share), 255 * (0.1 + 0.9 * share)], 4 * index)
  })
  tile.getContext('2d')!.putImageData(image, 0, 0)
  return tile
}

function colourOf(share: number): number[] {
  const at = share * (RAMP.length - 1)
  const from = RAMP[Math.floor(at)]!
  const to = RAMP[Math.ceil(at)]!
  return from.map((value, channel) => value + (to[channel]! - value) * (at - Math.floor(at)))
}
