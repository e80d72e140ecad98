/** Pictures in practice: rotated, CMYK, slightly non-standard, or next to other files. */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import {
  type Frame,
  openVideo,
  toPixels,
  type Video,
  type VideoSource,
} from '../src/video/index.ts'
import { Decoder, type Pixels } from '../src/video/picture/decoders.ts'
import { decodeImage } from '../src/video/picture/image.ts'
import { openMedia } from '../src/video/source/openMedia.ts'
import { hasFfmpeg, media } from './clips.ts'
import { joined } from './joined.ts'

const folder = mkdtempSync(join(tmpdir(), 'trecvit-pictures-'))
afterAll(() => rmSync(folder, { recursive: true }))
const WIDTH = 160
const HEIGHT = 120
const plain = { jpg: readFileSync(media('picture.jpg')), png: readFileSync(media('picture.png')) }

async function framesOf(source: VideoSource | readonly VideoSource[]): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of await openVideo(source)) frames.push(frame)
  return frames
}

async function errorOf(source: VideoSource): Promise<string> {
  const error: unknown = await framesOf(source).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

/** Returns EXIF data with an orientation after another field. */
function exif(orientation: number, order: 'II' | 'MM', type: 3 | 4 = 3): Buffer {
  const bytes = Buffer.alloc(8 + 2 + 2 * 12 + 4)
  const little = order === 'II'
  const u16 = (value: number, at: number) =>
    little ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at)
  const u32 = (value: number, at: number) =>
    little ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at)
  bytes.write(order)
  u16(42, 2)
  u32(8, 4)
  u16(2, 8)
  ;[
    [0x100, 3, WIDTH],
    [0x112, type, orientation],
  ].forEach(([tag, type, value], i) => {
    u16(tag!, 10 + 12 * i)
    u16(type!, 12 + 12 * i)
    u32(1, 14 + 12 * i)
    if (type === 4) u32(value!, 18 + 12 * i)
    else u16(value!, 18 + 12 * i)
  })
  return bytes
}

/** Returns the JPEG with bytes inserted between its first two segments. */
const second = 4 + plain.jpg.readUInt16BE(4)
const jpegWith = (bytes: Buffer): Buffer =>
  Buffer.concat([plain.jpg.subarray(0, second), bytes, plain.jpg.subarray(second)])
function segment(marker: number, data: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(2 + data.length, 2)
  return Buffer.concat([head, data])
}
const jpegTurned = (tiff: Buffer): Buffer =>
  jpegWith(segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0'), tiff])))

function chunk(
  type: string,
  data: Buffer,
  crc = crc32(Buffer.concat([Buffer.from(type), data])),
): Buffer {
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc)
  return Buffer.concat([length, Buffer.from(type), data, check])
}
/** Returns the PNG with bytes inserted after its header. */
const pngWith = (bytes: Buffer): Buffer =>
  Buffer.concat([plain.png.subarray(0, 33), bytes, plain.png.subarray(33)])

/**
 * Position at which the pixel at row y and column x of the upright picture is stored (EXIF 2.32,
 * tag 274).
 */
const stored: Readonly<Record<number, (y: number, x: number) => readonly [y: number, x: number]>> =
  {
    1: (y, x) => [y, x],
    2: (y, x) => [y, WIDTH - 1 - x],
    3: (y, x) => [HEIGHT - 1 - y, WIDTH - 1 - x],
    4: (y, x) => [HEIGHT - 1 - y, x],
    5: (y, x) => [x, y],
    6: (y, x) => [HEIGHT - 1 - x, y],
    7: (y, x) => [HEIGHT - 1 - x, WIDTH - 1 - y],
    8: (y, x) => [x, WIDTH - 1 - y],
  }

/** Returns the pixels of a frame, upright and in its own size. */
function uprightOf(frame: Frame): { height: number; width: number; pixels: Uint8Array } {
  const [height, width] =
    frame.rotation % 180 ? [frame.width, frame.height] : [frame.height, frame.width]
  return { height, width, pixels: toPixels(frame, { height, width }) }
}

async function expectTurned(
  source: VideoSource | readonly VideoSource[],
  orientation: number,
  kind: 'jpg' | 'png',
): Promise<void> {
  const video: Video = await openVideo(source)
  const turned = orientation > 4
  const [height, width] = turned ? [WIDTH, HEIGHT] : [HEIGHT, WIDTH]
  expect(video.info).toMatchObject({ width, height })
  const [before] = await framesOf(plain[kind])
  const want = uprightOf(before!).pixels
  let count = 0
  for await (const frame of video) {
    expect(frame.rotation).toBe(video.info.rotation)
    const got = uprightOf(frame)
    expect([got.height, got.width]).toEqual([height, width])
    const differs = got.pixels.findIndex((value, i) => {
      const [y, x] = stored[orientation]!(Math.floor(i / 3 / width), Math.floor(i / 3) % width)
      return value !== want[3 * (y * WIDTH + x) + (i % 3)]
    })
    expect(differs).toBe(-1)
    count++
  }
  expect(count).toBe(Array.isArray(source) ? source.length : 1)
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF orientation %d', (orientation) => {
  test.each(['II', 'MM'] as const)('of a JPEG, %s', async (order) => {
    await expectTurned(jpegTurned(exif(orientation, order)), orientation, 'jpg')
    await expectTurned(jpegTurned(exif(orientation, order, 4)), orientation, 'jpg')
  })

  test('of a PNG', () =>
    expectTurned(pngWith(chunk('eXIf', exif(orientation, 'MM'))), orientation, 'png'))

  test('in every kind of source', { tags: 'slow' }, async () => {
    const bytes = jpegTurned(exif(orientation, 'II'))
    const directory = join(folder, `turned${orientation}`)
    mkdirSync(directory)
    const path = join(directory, 'p1.jpg')
    writeFileSync(path, bytes)
    const ways: (VideoSource | readonly VideoSource[])[] = [
      path,
      directory,
      join(directory, 'p%d.jpg'),
      new URL(`file://${path}`),
      new Uint8Array(bytes).buffer,
      new Blob([new Uint8Array(bytes)]),
      new Blob([new Uint8Array(bytes)]).stream(),
      [path, bytes],
    ]
    for (const way of ways) await expectTurned(way, orientation, 'jpg')
    // As the server decodes a message.
    const { frame } = await decodeImage(
      { ...(await openMedia(bytes, undefined)), name: 'the frame' },
      0,
      WIDTH * HEIGHT,
    )
    expect(uprightOf(frame)).toEqual(uprightOf((await framesOf(bytes))[0]!))
  })
})

test.skipIf(!hasFfmpeg())('ffmpeg turns the same way', { tags: 'slow' }, async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const path = join(folder, `ffmpeg${orientation}.jpg`)
    writeFileSync(path, jpegTurned(exif(orientation, 'MM')))
    const args = ['-loglevel', 'error', '-i', path, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
    const want = execFileSync('ffmpeg', args)
    const { pixels } = uprightOf((await framesOf(path))[0]!)
    expect(want.length).toBe(pixels.length)
    // JPEG decoders differ slightly. A wrong orientation changes values by at least 40.
    const difference =
      pixels.reduce((sum, value, i) => sum + Math.abs(value - want[i]!), 0) / pixels.length
    expect(difference).toBeLessThan(8)
  }
})

test.each([
  ['an orientation of 0', exif(0, 'II')],
  ['an orientation of 9', exif(9, 'MM')],
  ['an unknown byte order', Buffer.concat([Buffer.from('XX'), exif(6, 'II').subarray(2)])],
  ['a directory beyond the end', Buffer.from('MM\0*\xff\xff\xff\xff', 'latin1')],
  ['a directory cut short', exif(6, 'MM').subarray(0, 30)],
  ['no directory', Buffer.from('II*\0')],
  ['nothing', Buffer.alloc(0)],
])('EXIF with %s changes nothing', (_, tiff) => expectTurned(jpegTurned(tiff), 1, 'jpg'))

test('pictures of a list that are turned differently keep one upright size', async () => {
  const [upright, flat] = [jpegTurned(exif(6, 'II')), jpegTurned(exif(8, 'II'))]
  expect((await framesOf([upright, flat])).map(({ rotation }) => rotation)).toEqual([90, 270])
  await expect(framesOf([plain.jpg, upright])).rejects.toThrow(
    'has 120x160 pixels, the pictures before it 160x120',
  )
})

describe('damage that decoders tolerate', () => {
  const junk = Buffer.from([0, 0x55, 0xff, 0, 0x41])
  const last = plain.png.length - 12
  test.each([
    ['a stray byte between segments', jpegWith(Buffer.from([0]))],
    ['stray bytes, and FF 00 among them', jpegWith(junk)],
    ['fill bytes', jpegWith(Buffer.alloc(9, 0xff))],
    [
      'a restart marker and a TEM marker, which have no length',
      jpegWith(Buffer.from([0xff, 0xd0, 0xff, 1])),
    ],
    ['an empty comment', jpegWith(segment(0xfe, Buffer.alloc(0)))],
    ['bytes after the end', Buffer.concat([plain.jpg, Buffer.alloc(99)])],
  ])('JPEG: %s', (_, bytes) => expectTurned(bytes, 1, 'jpg'))

  test.each([
    ['a chunk that is not known', pngWith(chunk('abCd', junk))],
    ['a text with a wrong checksum', pngWith(chunk('tEXt', junk, 1))],
    ['a damaged colour profile', pngWith(chunk('iCCP', junk))],
    ['a gamma that is cut short', pngWith(chunk('gAMA', junk.subarray(0, 3)))],
    ['no end', plain.png.subarray(0, last)],
    ['a cut in the end', plain.png.subarray(0, last + 5)],
    ['bytes after the end', Buffer.concat([plain.png, junk])],
  ])('PNG: %s', (_, bytes) => expectTurned(bytes, 1, 'png'))
})

test('what is not supported is not called damaged', async () => {
  expect(await errorOf(media('cmyk.jpg'))).toMatch(
    joined(
      /cmyk\.jpg" is a JPEG file in CMYK, which is not supported: save it in RGB, /,
      /like magick IN\.jpg -colorspace sRGB OUT\.jpg$/,
    ),
  )
  const frameHeader = plain.jpg.indexOf(Buffer.from([0xff, 0xc0]))
  const twelve = Buffer.from(plain.jpg)
  twelve[frameHeader + 4] = 12
  expect(await errorOf(twelve)).toBe(
    'The video in memory is a JPEG file of a kind that is not supported (the decoder reports ' +
      '"Unsupported JPEG data precision 12"): save it as 8-bit RGB',
  )
  const lossless = Buffer.from(plain.jpg)
  lossless[frameHeader + 1] = 0xc3
  expect(await errorOf(lossless)).toBe(
    'The video in memory is a JPEG file of a kind that is not supported (the decoder reports ' +
      '"Unsupported JPEG process: SOF type 0xc3"): save it as 8-bit RGB',
  )
})

test.each([
  ['a segment that runs over the end', jpegWith(Buffer.from([0xff, 0xe1, 0xff, 0xff]))],
  ['a segment shorter than its length', jpegWith(Buffer.from([0xff, 0xe1, 0, 1]))],
  ['a frame header without its size', jpegWith(segment(0xc0, Buffer.alloc(5)))],
  ['no scan', plain.jpg.subarray(0, 300)],
  ['an end before the scan', jpegWith(Buffer.from([0xff, 0xd9]))],
  ['a start only', plain.jpg.subarray(0, 3)],
])('a damaged JPEG: %s', async (_, bytes) => {
  expect(await errorOf(bytes)).toBe(
    'The video in memory is a JPEG file that is cut short or damaged: save or download it again',
  )
})

test('a size that the data cannot hold takes no memory', { tags: 'slow' }, async () => {
  const huge = Buffer.from(plain.png)
  huge.writeUInt32BE(8192, 16)
  huge.writeUInt32BE(8192, 20)
  expect(await errorOf(huge)).toBe(
    'The video in memory is a PNG file that is cut short or damaged: save or download it again',
  )
  const wide = Buffer.from(plain.jpg)
  const comment = segment(0xfe, Buffer.alloc(1000))
  wide.writeUInt32BE(0x20002000, wide.indexOf(Buffer.from([0xff, 0xc0])) + 5)
  expect(await errorOf(wide)).toBe(
    'The video in memory is a JPEG file that is cut short or damaged: save or download it again',
  )
  // Other segments do not contain pixels.
  const padded = Buffer.concat([
    wide.subarray(0, 2),
    ...Array(1000).fill(comment),
    wide.subarray(2),
  ])
  expect(await errorOf(padded)).toBe(
    'The video in memory is a JPEG file that is cut short or damaged: save or download it again',
  )
  // A single colour has the best compression.
  const row = Buffer.from([0, 0, 16, 0, 0, 0, 16, 0, 8, 0, 0, 0, 0])
  const data = deflateSync(Buffer.alloc(4096 * 4097), { level: 9 })
  const black = [chunk('IHDR', row), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]
  const [frame] = await framesOf(Buffer.concat([plain.png.subarray(0, 8), ...black]))
  expect([frame!.width, frame!.height]).toEqual([4096, 4096])
})

test('a folder with the companions of macOS, other hidden files and folders', async () => {
  const directory = join(folder, 'mac')
  mkdirSync(directory)
  const companion = Buffer.from([0, 5, 0x16, 7, 0, 2, 0, 0])
  for (const n of [1, 2, 3]) {
    copyFileSync(media('picture.png'), join(directory, `f${n}.png`))
    writeFileSync(join(directory, `._f${n}.png`), companion)
  }
  writeFileSync(join(directory, '.hidden.jpg'), 'x')
  writeFileSync(join(directory, '.DS_Store'), 'x')
  mkdirSync(join(directory, 'f2b.png'))
  symlinkSync(join(directory, 'f2b.png'), join(directory, 'f2c.png'))
  expect(await framesOf(directory)).toHaveLength(3)
  symlinkSync(join(directory, 'f1.png'), join(directory, 'f4.png'))
  expect(await framesOf(directory)).toHaveLength(4)
  // A missing file is an error, not skipped.
  symlinkSync(join(directory, 'nothing.png'), join(directory, 'f5.png'))
  expect(await errorOf(directory)).toMatch(/^There is no file at ".*f5\.png"$/)
  const hidden = join(folder, 'hidden')
  mkdirSync(hidden)
  writeFileSync(join(hidden, '._f1.png'), companion)
  expect(await errorOf(hidden)).toMatch(/holds no PNG or JPEG files/)
})

describe('decoders', () => {
  const pixels: Pixels = { data: new Uint8Array(4), width: 1, height: 1 }
  const good = { decode: () => pixels, size: 100 }

  test('one that could not be loaded is loaded at the next picture', async () => {
    let tries = 0
    const decoder = new Decoder(async () => {
      if (++tries === 1) throw new Error('Failed to fetch')
      return good
    })
    await expect(decoder.decode(new Uint8Array(1))).rejects.toThrow(
      new TrecvitError('The decoder of pictures cannot be loaded (Failed to fetch): try again'),
    )
    for (let i = 0; i < 3; i++) expect(await decoder.decode(new Uint8Array(1))).toBe(pixels)
    expect(tries).toBe(2)
  })

  test.each([
    [
      'fails',
      {
        decode: (): never => {
          throw new Error('bad')
        },
        size: 100,
      },
    ],
    ['has grown', { decode: () => pixels, size: 2 ** 26 + 1 }],
  ])('one that %s is not used again', async (_, first) => {
    const instances = [first, good]
    const decoder = new Decoder(async () => instances.shift()!)
    await decoder.decode(new Uint8Array(1)).catch(() => {})
    for (let i = 0; i < 3; i++) expect(await decoder.decode(new Uint8Array(1))).toBe(pixels)
  })

  test('damaged pictures leave no memory behind', { tags: 'slow' }, async () => {
    const header = Buffer.from([0, 0, 8, 0, 0, 0, 8, 0, 8, 2, 0, 0, 0])
    const cut = deflateSync(Buffer.alloc(2048 * 6145)).subarray(0, -8)
    const png = Buffer.concat([plain.png.subarray(0, 8), chunk('IHDR', header), chunk('IDAT', cut)])
    await errorOf(png)
    const before = process.memoryUsage().rss
    for (let i = 0; i < 40; i++) expect(await errorOf(png)).toMatch(/is a damaged PNG file/)
    // 12 MB of pixels each.
    expect(process.memoryUsage().rss - before).toBeLessThan(2e8)
  })

  test('the global object stays as it is', async () => {
    const before = Reflect.ownKeys(globalThis)
    await framesOf([plain.jpg, plain.png])
    expect(Reflect.ownKeys(globalThis)).toEqual(before)
  })
})
