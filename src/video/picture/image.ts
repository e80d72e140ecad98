/**
 * Decodes one PNG or JPEG picture.
 */
import { TrecvitError } from '../../base/error.ts'
import { checkSize, type Frame, RGB } from '../frame.ts'
import { ByteReader } from '../source/byteReader.ts'
import { capital, type Media } from '../source/media.ts'
import { decoders, type Pixels } from './decoders.ts'
import type { Turn } from './exif.ts'
import { readJpegHeader } from './jpeg.ts'
import { readPng } from './png.ts'

/** A decoded picture and its stored format. */
export interface Image {
  readonly frame: Frame
  readonly kind: 'PNG' | 'JPEG'
  /** Name of the package that decoded it. */
  readonly decoder: string
}

/** Largest file in bytes. */
const MAX_BYTES = 2 ** 28

/** Returns PNG or JPEG by the first bytes of a file; null for other files. */
export function imageKind(head: Uint8Array): Image['kind'] | null {
  if (String.fromCharCode(...head.subarray(0, 8)) === '\x89PNG\r\n\x1a\n') return 'PNG'
  return head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff ? 'JPEG' : null
}

/**
 * Decodes a picture to `rgba`. The frame has the rotation of EXIF. A mirrored picture is mirrored
 * back.
 * @param time of the frame, in seconds
 * @param maxPixels largest number of pixels; default: the limit of all readers
 * @throws TrecvitError if it is not PNG or JPEG, too large, cut short, damaged or not supported
 */
export async function decodeImage(media: Media, time: number, maxPixels?: number): Promise<Image> {
  const kind = imageKind(media.head)
  const name = capital(media.name)
  if (kind === null) {
    throw new TrecvitError(`${name} is neither PNG nor JPEG: give pictures of these kinds`)
  }
  const bytes = new Uint8Array(await readAll(media))
  const header = kind === 'PNG' ? readPng(bytes) : readJpegHeader(bytes)
  if (header !== null) checkSize(name, header.width, header.height, maxPixels)
  if (header === null || header.isCut) {
    const fault = 'cut short or damaged: save or download it again'
    throw new TrecvitError(`${name} is a ${kind} file that is ${fault}`)
  }
  if ('components' in header && header.components === 4) {
    const advice = 'save it in RGB, like magick IN.jpg -colorspace sRGB OUT.jpg'
    throw new TrecvitError(`${name} is a JPEG file in CMYK, which is not supported: ${advice}`)
  }
  const decoded = decoders[kind].decode('pixels' in header ? header.pixels : bytes)
  const pixels = await decoded.catch((error: Error) => refuse(name, kind, error))
  const frame = toFrame(pixels, header.turn, time)
  return { frame, kind, decoder: `@jsquash/${kind.toLowerCase()}` }
}

function refuse(name: string, kind: string, error: Error): never {
  if (error instanceof TrecvitError) throw error
  const cause = error
  if (/unsupported|not supported|sorry/i.test(error.message)) {
    const fault = `of a kind that is not supported (${error.message})`
    throw new TrecvitError(`${name} is a ${kind} file ${fault}: save it as 8-bit RGB`, { cause })
  }
  const fault = `a damaged ${kind} file (${error.message})`
  throw new TrecvitError(`${name} is ${fault}: save or download it again`, { cause })
}

/** Returns the frame of a decoded picture. A mirrored picture is mirrored in place. */
function toFrame(pixels: Pixels, { mirrored, rotation }: Turn, time: number): Frame {
  const { width, height, data } = pixels
  const stride = 4 * width
  for (let y = 0; mirrored && y < height; y++) {
    new Uint32Array(data.buffer, data.byteOffset + y * stride, width).reverse()
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const planes = [{ data: bytes, stride }]
  return { format: 'rgba', width, height, planes, time, rotation, ...RGB }
}

async function readAll(media: Media): Promise<ArrayBuffer> {
  const reader = new ByteReader(await media.stream())
  try {
    let bytes = new Uint8Array(Math.min(media.size ?? 1 << 20, MAX_BYTES))
    for (let length = 0; ; ) {
      length += await reader.fill(bytes.subarray(length))
      // One more byte distinguishes a full array from a longer file.
      const probe = new Uint8Array(1)
      if (length < bytes.length || (await reader.fill(probe)) === 0)
        return bytes.slice(0, length).buffer
      if (length >= MAX_BYTES)
        throw new TrecvitError(
          `${capital(media.name)} is larger than ${MAX_BYTES} bytes: that is no single picture`,
        )
      const grown = new Uint8Array(Math.min(2 * length, MAX_BYTES) + 1)
      grown.set(bytes)
      grown.set(probe, length++)
      bytes = grown
    }
  } finally {
    await reader.cancel()
  }
}
