/** Converts frames of a video to pictures of a page, in a worker. */
import { type Frame, toPixels } from 'trecvit/video'

/** Longer side of pictures on the page, in pixels. */
const SHOWN = 640

/** Returns a frame as a picture, upright. */
export async function pictureOf(frame: Frame): Promise<ImageBitmap> {
  const turned = frame.rotation === 90 || frame.rotation === 270
  const [full, high] = turned ? [frame.height, frame.width] : [frame.width, frame.height]
  const scale = Math.min(1, SHOWN / Math.max(full, high))
  const [width, height] = [Math.round(full * scale), Math.round(high * scale)]
  const rgb = toPixels(frame, { width, height })
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255)
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgba[to] = rgb[from]!
    rgba[to + 1] = rgb[from + 1]!
    rgba[to + 2] = rgb[from + 2]!
  }
  return createImageBitmap(new ImageData(rgba, width, height))
}
