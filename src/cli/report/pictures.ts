/** Draws clips, their masks and their reconstructions. */
import { deflateSync } from 'node:zlib'
import type { NdArray } from '../../base/array.ts'
import { crc32 } from '../../base/crc32.ts'
import { escapeHtml } from './page.ts'

/** Pictures of a clip: bytes [1, t, H, W, 3]. */
export interface Reconstructed {
  readonly name: string
  readonly frames: NdArray<Uint8Array>
  readonly masked: NdArray<Uint8Array>
  readonly reconstruction: NdArray<Uint8Array>
}

/** Frames of a clip that are drawn, spread evenly. */
const SHOWN = 4

export const PICTURE_STYLE: string = `
.clips { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
.clips { gap: 24px; }
.clips figure { margin: 0; }
.clips figcaption { font-size: 0.875rem; margin-bottom: 8px; overflow-wrap: anywhere; }
.clips p { margin: 8px 0 2px; color: var(--quiet); font-size: 0.78rem; }
.strip { display: grid; grid-template-columns: repeat(${SHOWN}, 1fr); gap: 4px; }
.clips img { display: block; width: 100%; height: auto; border-radius: 6px; }
`

/** Returns a section with the pictures of clips. */
export function pictureSection(clips: readonly Reconstructed[]): string {
  const figures = clips.map(({ name, frames, masked, reconstruction }) => {
    const row = (title: string, pictures: NdArray<Uint8Array>) =>
      `<p>${title}</p><div class="strip" role="img" aria-label="${title} of ${escapeHtml(name)}">` +
      `${strip(pictures)}</div>`
    return (
      `<figure><figcaption>${escapeHtml(name)}</figcaption>${row('Input', frames)}` +
      `${row('Visible patches', masked)}${row('Reconstruction', reconstruction)}</figure>`
    )
  })
  return (
    '<section><h2>Reconstructions</h2><p class="hint">The encoder reads the visible patches, and ' +
    'the decoder predicts the others. Predicted patches have the mean and the contrast of the ' +
    `input.</p><div class="clips">${figures.join('')}</div></section>`
  )
}

/** Returns some frames beside each other, as pictures. */
function strip({ data, shape }: NdArray<Uint8Array>): string {
  const [, t, height, width] = shape as [number, number, number, number]
  const count = Math.min(SHOWN, t)
  const pictures = Array.from({ length: count }, (_, i) => {
    const frame = count === 1 ? 0 : Math.round((i * (t - 1)) / (count - 1))
    const size = height * width * 3
    const png = encodePng(data.subarray(frame * size, (frame + 1) * size), width, height)
    const address = `data:image/png;base64,${Buffer.from(png).toString('base64')}`
    return `<img alt="" width="${width}" height="${height}" src="${address}">`
  })
  return pictures.join('')
}

/**
 * Encodes a picture as PNG. Each byte is stored as the difference to the pixel on its left.
 * @param pixels [height, width, 3]
 */
export function encodePng(pixels: Uint8Array, width: number, height: number): Uint8Array {
  const size = Buffer.alloc(13)
  size.writeUInt32BE(width, 0)
  size.writeUInt32BE(height, 4)
  // 8 bits, red, green and blue.
  size.set([8, 2], 8)
  const row = width * 3
  const lines = Buffer.alloc(height * (row + 1))
  for (let y = 0; y < height; y++) {
    lines[y * (row + 1)] = 1
    for (let i = 0; i < row; i++) {
      const left = i < 3 ? 0 : pixels[y * row + i - 3]!
      lines[y * (row + 1) + 1 + i] = pixels[y * row + i]! - left
    }
  }
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', size),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(name: string, contents: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), contents])
  const whole = Buffer.alloc(body.length + 8)
  whole.writeUInt32BE(contents.length, 0)
  whole.set(body, 4)
  whole.writeUInt32BE(crc32(body), body.length + 4)
  return whole
}
