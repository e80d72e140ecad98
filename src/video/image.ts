/**
 * One PNG or JPEG picture. JPEG decoding is not exact by its standard, so everyone uses the same decoder: @jsquash, in WebAssembly.
 */
import { TrecvitError } from '../error.ts'
import { ByteReader } from './byteReader.ts'
import { checkSize, RGB, type Frame } from './frame.ts'
import { capital, type Media } from './media.ts'
import { decodeJpeg, decodePng } from './pictureDecoders.ts'

/** A decoded picture and how it was stored. */
export interface Image {
  readonly frame: Frame
  readonly kind: 'PNG' | 'JPEG'
  /** The package that decoded it. */
  readonly decoder: string
}

/** Compressed bytes of one picture. */
const MAX_BYTES = 2 ** 28

/** PNG or JPEG, by the first bytes of a file; null for anything else. */
export function imageKind(head: Uint8Array): Image['kind'] | null {
  if (String.fromCharCode(...head.subarray(0, 8)) === '\x89PNG\r\n\x1a\n') return 'PNG'
  return head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff ? 'JPEG' : null
}

/**
 * Decodes a picture to `rgba`. Rotation in EXIF is not applied.
 * @param time of the frame, in seconds
 * @param maxPixels what the picture may have, where that is less than any reader takes
 * @throws TrecvitError when it is no PNG or JPEG, too large, cut short or damaged
 */
export async function decodeImage(media: Media, time: number, maxPixels?: number): Promise<Image> {
  const kind = imageKind(media.head)
  if (kind === null) throw new TrecvitError(`${capital(media.name)} is neither PNG nor JPEG: give pictures of these kinds`)
  const bytes = await readAll(media)
  const size = kind === 'PNG' ? pngSize(bytes) : jpegSize(bytes)
  if (size === null) throw new TrecvitError(`${capital(media.name)} is a ${kind} file that is cut short or damaged: save or download it again`)
  checkSize(capital(media.name), size.width, size.height, maxPixels)
  const { data, width, height } = await (kind === 'PNG' ? decodePng : decodeJpeg)(bytes).catch((error: Error) => {
    throw new TrecvitError(`${capital(media.name)} is a damaged ${kind} file (${error.message}): save or download it again`, { cause: error })
  })
  const planes = [{ data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength), stride: width * 4 }]
  return { frame: { format: 'rgba', width, height, planes, time, rotation: 0, ...RGB }, kind, decoder: `@jsquash/${kind.toLowerCase()}` }
}

async function readAll(media: Media): Promise<ArrayBuffer> {
  const reader = new ByteReader(await media.stream())
  try {
    let bytes = new Uint8Array(Math.min(media.size ?? 1 << 20, MAX_BYTES))
    for (let length = 0; ; ) {
      length += await reader.fill(bytes.subarray(length))
      // One byte more tells a full array from an unfinished file.
      const probe = new Uint8Array(1)
      if (length < bytes.length || (await reader.fill(probe)) === 0) return bytes.slice(0, length).buffer
      if (length >= MAX_BYTES) throw new TrecvitError(`${capital(media.name)} is larger than ${MAX_BYTES} bytes: that is no single picture`)
      const grown = new Uint8Array(Math.min(2 * length, MAX_BYTES) + 1)
      grown.set(bytes)
      grown.set(probe, length++)
      bytes = grown
    }
  } finally {
    await reader.cancel()
  }
}

type Size = { width: number; height: number }

/** From the IHDR chunk, which comes first. */
function pngSize(bytes: ArrayBuffer): Size | null {
  if (bytes.byteLength < 24) return null
  const view = new DataView(bytes)
  return { width: view.getUint32(16), height: view.getUint32(20) }
}

/** From the frame header; null, too, when there is no end marker behind the scan: the decoder would fill up with grey in silence. */
function jpegSize(bytes: ArrayBuffer): Size | null {
  const view = new DataView(bytes)
  let size: Size | null = null
  for (let at = 2; at + 9 < bytes.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return null
    const marker = view.getUint8(at + 1)
    // Start of frame of any coding; C4, C8 and CC are tables.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    if (marker === 0xda) return hasEnd(new Uint8Array(bytes, at)) ? size : null
    // Any number of FF bytes may stand before a marker.
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2)
  }
  return null
}

function hasEnd(scan: Uint8Array): boolean {
  for (let at = scan.length - 1; at > 0; at--) if (scan[at] === 0xd9 && scan[at - 1] === 0xff) return true
  return false
}
