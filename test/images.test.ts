import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type Frame, type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { expected, media } from './clips.ts'
import { joined } from './joined.ts'

const folder = mkdtempSync(join(tmpdir(), 'trecvit-images-'))
afterAll(() => rmSync(folder, { recursive: true }))
const png = media('picture.png')
const jpg = media('picture.jpg')

async function framesOf(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions = {},
): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of await openVideo(source, options)) frames.push(frame)
  return frames
}

async function errorOf(source: VideoSource | readonly VideoSource[]): Promise<string> {
  const error = await framesOf(source).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

const sha256 = (frame: Frame): string =>
  createHash('sha256').update(frame.planes[0]!.data).digest('hex')

test('a PNG is what ffmpeg makes of it; its name does not matter', async () => {
  const disguised = join(folder, 'disguised.mp4')
  copyFileSync(png, disguised)
  for (const source of [
    png,
    disguised,
    readFileSync(png),
    new Blob([readFileSync(png)]).stream(),
  ]) {
    const [frame] = await framesOf(source)
    expect(frame).toMatchObject({
      format: 'rgba',
      width: 160,
      height: 120,
      time: 0,
      matrix: 'rgb',
      fullRange: true,
      rotation: 0,
    })
    expect(sha256(frame!)).toBe(expected['picture.png']!.first)
  }
})

test('a JPEG is near the PNG of the same picture, and the same bytes everywhere', async () => {
  const [a] = await framesOf(jpg)
  const [b] = await framesOf(png)
  const difference =
    a!.planes[0]!.data.reduce(
      (sum, value, i) => sum + Math.abs(value - b!.planes[0]!.data[i]!),
      0,
    ) / a!.planes[0]!.data.length
  expect(difference).toBeLessThan(4)
  expect(sha256(a!)).toBe('db0839d673a2aa30b1e4660bbfec5e333c14ca23b0959d632557b715b23ebaee')
})

describe('after many damaged pictures', { tags: 'slow' }, () => {
  // Without a fresh state, the decoders fail permanently after about this number of pictures.
  test.each([
    [png, 800],
    [jpg, 100],
  ])('the next good one is decoded', async (path, count) => {
    const [before] = await framesOf(path)
    const print = vi.spyOn(console, 'error')
    const damaged = readFileSync(path)
    // The pixels of the PNG, or the index of the first table of the JPEG.
    if (path === png) damaged.fill(0x55, 3000, 4000)
    else damaged[damaged.indexOf(Buffer.of(0xff, 0xdb)) + 4] = 0x0a
    for (let i = 0; i < count; i++)
      expect(await errorOf(damaged)).toMatch(
        /is a damaged (PNG|JPEG) file \(the decoder reports [^()]+\): save/,
      )
    expect(print).not.toHaveBeenCalled()
    print.mockRestore()
    const [after] = await framesOf(path)
    expect(sha256(after!)).toBe(sha256(before!))
  })
})

describe('sequences', () => {
  const directory = join(folder, 'sequence')
  mkdirSync(directory)
  // Sorted by number, not alphabetically.
  for (const n of [1, 2, 9]) copyFileSync(png, join(directory, `f${n}.png`))
  for (const n of [10, 11]) copyFileSync(jpg, join(directory, `f${n}.JPG`))
  writeFileSync(join(directory, 'notes.txt'), 'not a picture')

  test('a directory', async () => {
    const video = await openVideo(directory, { fps: 10 })
    expect(video.info).toEqual({
      ...{ container: 'images', codec: 'PNG', width: 160, height: 120, rotation: 0 },
      ...{ frames: 5, duration: 0.5, fps: 10, decoder: '@jsquash/png' },
    })
    const hashes: string[] = []
    const times: number[] = []
    for await (const frame of video) {
      hashes.push(sha256(frame))
      times.push(frame.time)
    }
    expect(times).toEqual([0, 0.1, 0.2, 0.3, 0.4])
    const [p, j] = [hashes[0], hashes[4]]
    expect(p).not.toBe(j)
    expect(hashes).toEqual([p, p, p, j, j])
  })

  test('a list, of any sources', async () => {
    const frames = await framesOf([png, readFileSync(jpg), new Blob([readFileSync(png)])])
    expect(frames.map((frame) => frame.time)).toEqual([0, 0.04, 0.08])
  })

  test('a pattern', async () => {
    const numbered = join(folder, 'numbered')
    mkdirSync(numbered)
    for (const n of [1, 2, 3, 5])
      copyFileSync(png, join(numbered, `p_${String(n).padStart(3, '0')}.png`))
    for (const n of [0, 1]) copyFileSync(png, join(numbered, `q${n}.png`))
    expect(await framesOf(join(numbered, 'p_%03d.png'))).toHaveLength(3)
    expect(await framesOf(join(numbered, 'q%d.png'))).toHaveLength(2)
    expect(await errorOf(join(numbered, 'z%02d.png'))).toMatch(
      joined(
        /^There is no file at ".*z00\.png" nor ".*z01\.png": /,
        /the numbers of a pattern start at 0 or 1$/,
      ),
    )
    // The path of an existing file is not a pattern.
    copyFileSync(png, join(numbered, '100%d.png'))
    expect(await framesOf(join(numbered, '100%d.png'))).toHaveLength(1)
  })

  test('errors', async () => {
    expect(await errorOf([])).toBe('The list of pictures is empty: give at least one')
    expect(await errorOf([png, media('h264.mp4')])).toMatch(
      /h264\.mp4" is neither PNG nor JPEG: give pictures of these kinds$/,
    )
    expect(await errorOf([png, join(folder, 'nothing.png')])).toMatch(
      /^There is no file at ".*nothing\.png"$/,
    )
    const small = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAA' +
        'AABJRU5ErkJggg==',
      'base64',
    )
    expect(await errorOf([png, small])).toBe(
      'The video in memory has 1x1 pixels, the pictures before it 160x120: ' +
        'a sequence must keep its size',
    )
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    expect(await errorOf(empty)).toMatch(
      joined(
        /^The directory ".*empty" holds no PNG or JPEG files: give a video, /,
        /or a directory of pictures$/,
      ),
    )
  })
})

test('damaged pictures', async () => {
  const cut = (path: string, length: number): Uint8Array =>
    new Uint8Array(readFileSync(path)).slice(0, length)
  expect(await errorOf(cut(png, 20))).toBe(
    'The video in memory is a PNG file that is cut short or damaged: save or download it again',
  )
  expect(await errorOf(cut(png, 5000))).toMatch(
    /^The video in memory is a damaged PNG file \(.*\): save or download it again$/,
  )
  expect(await errorOf(cut(jpg, 3000))).toBe(
    'The video in memory is a JPEG file that is cut short or damaged: save or download it again',
  )
  const huge = new Uint8Array(readFileSync(png))
  new DataView(huge.buffer).setUint32(16, 100_000)
  expect(await errorOf(huge)).toMatch(
    /^The video in memory is 100000x120 pixels: sides must be integers from 1 to 16384/,
  )
  const tables = new Uint8Array(readFileSync(jpg))
  // An invalid first Huffman table (FF C4): the decoder traps.
  const table = tables.findIndex((value, i) => value === 0xff && tables[i + 1] === 0xc4)
  expect(await errorOf(tables.fill(0xff, table + 5, table + 21))).toMatch(
    /^The video in memory is a damaged JPEG file \(.*\): save or download it again$/,
  )
  // The decoders still work after that.
  expect(await framesOf([png, jpg, png])).toHaveLength(3)
})
