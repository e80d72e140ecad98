/**
 * Parses YUV4MPEG2 ("y4m"), the output of `ffmpeg -f yuv4mpegpipe -`. One header line is followed
 * by "FRAME" lines, each with raw planes after it.
 */

import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { type Colour, checkSize, type FrameFormat, frameBytes, untaggedMatrix } from '../frame.ts'
import type { ByteReader } from '../source/byteReader.ts'
import { capital } from '../source/media.ts'

/** Fields of the header line. */
export interface Y4mHeader extends Colour {
  readonly width: number
  readonly height: number
  readonly format: FrameFormat
  /** Pictures per second, as a fraction: `num / den`. */
  readonly fps: { readonly num: number; readonly den: number }
}

/** The first bytes of every y4m stream. */
export const Y4M_MAGIC = 'YUV4MPEG2 '

/** Largest length of the header line and of FRAME lines. */
const MAX_LINE = 1024

const COLOURS: Readonly<Record<string, readonly [FrameFormat, Colour['siting']]>> = {
  '420': ['yuv420p', 'center'],
  '420jpeg': ['yuv420p', 'center'],
  '420mpeg2': ['yuv420p', 'left'],
  '420paldv': ['yuv420p', 'topleft'],
  '420p10': ['yuv420p10', 'left'],
  '420p12': ['yuv420p12', 'left'],
  '422': ['yuv422p', 'left'],
  '422p10': ['yuv422p10', 'left'],
  '422p12': ['yuv422p12', 'left'],
  '444': ['yuv444p', 'left'],
  '444p10': ['yuv444p10', 'left'],
  '444p12': ['yuv444p12', 'left'],
  mono: ['gray', 'left'],
  mono10: ['gray10', 'left'],
  mono12: ['gray12', 'left'],
}

/**
 * @throws TrecvitError if it is not a y4m header, lacks a size, or has an unsupported colour space
 */
export async function readY4mHeader(reader: ByteReader, name: string): Promise<Y4mHeader> {
  const line = (await reader.line(MAX_LINE)) ?? ''
  if (!line.startsWith(Y4M_MAGIC))
    throw new TrecvitError(
      `${capital(name)} is not y4m: it must start with "${Y4M_MAGIC}", ` +
        `not with ${quote(line.slice(0, 20))}`,
    )
  const fields = line.slice(Y4M_MAGIC.length).trim().split(/ +/)
  const field = (letter: string): string | undefined =>
    fields.find((text) => text.startsWith(letter))?.slice(letter.length)
  const width = Number(field('W') ?? NaN)
  const height = Number(field('H') ?? NaN)
  checkSize(`The y4m header of ${name}`, width, height)
  const space = field('C') ?? '420jpeg'
  const known = Object.hasOwn(COLOURS, space) ? COLOURS[space] : undefined
  if (known === undefined) {
    throw new TrecvitError(
      `${capital(name)} has the y4m colour space ${quote(space)}, which is not read: ` +
        'make it with ffmpeg -pix_fmt yuv420p',
    )
  }
  const [num, den] = (field('F') ?? '25:1').split(':').map(Number)
  const valid =
    num !== undefined && den !== undefined && num > 0 && den > 0 && Number.isFinite(num / den)
  return {
    width,
    height,
    format: known[0],
    siting: known[1],
    matrix: untaggedMatrix(height),
    fullRange: field('XCOLORRANGE=') === 'FULL',
    fps: valid ? { num, den } : { num: 25, den: 1 },
  }
}

/**
 * Returns the planes of one picture in one array without padding; null at the end of the stream.
 * @param index number of the picture, for messages
 * @throws TrecvitError if the stream ends within the picture, or the next bytes are not a picture
 */
export async function readY4mFrame(
  reader: ByteReader,
  header: Y4mHeader,
  index: number,
  name: string,
): Promise<Uint8Array | null> {
  const line = await reader.line(MAX_LINE)
  if (line === null) return null
  if (line !== 'FRAME' && !line.startsWith('FRAME ')) {
    throw new TrecvitError(
      `${capital(name)} has ${quote(line.slice(0, 20))} where frame ${index} of the y4m stream ` +
        'should start with "FRAME": it is damaged',
    )
  }
  const bytes = frameBytes(header.format, header.width, header.height)
  const data = await reader.take(bytes)
  if (data.length < bytes)
    throw new TrecvitError(
      `${capital(name)} is cut short: frame ${index} has ${data.length} of ${bytes} bytes`,
    )
  return data
}
