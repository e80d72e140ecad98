/** A small picture that stands for a recording, cropped from the middle of a frame. */

const [WIDTH, HEIGHT] = [128, 96]

export class Thumbnail {
  readonly #canvas = new OffscreenCanvas(WIDTH, HEIGHT)

  draw(bitmap: ImageBitmap): void {
    const scale = Math.max(WIDTH / bitmap.width, HEIGHT / bitmap.height)
    const [width, height] = [bitmap.width * scale, bitmap.height * scale]
    this.#canvas
      .getContext('2d')!
      .drawImage(bitmap, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height)
  }

  /** Returns what was drawn last, as JPEG. */
  encode(): Promise<Blob> {
    return this.#canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 })
  }
}
