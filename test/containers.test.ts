import { InputVideoTrack, Logging, LogLevel } from 'mediabunny'
import { describe, expect, test, vi } from 'vitest'
import { openVideo } from '../src/video/index.ts'
import { readFragment } from '../src/video/isobmff/fragment.ts'
import { describeEntry } from '../src/video/isobmff/sampleEntry.ts'
import { box, boxesOf, element } from './boxes.ts'
import { clip, read, timesOf } from './clipReads.ts'
import { decoderUrl, hashesOf, hasWasm, media } from './clips.ts'
import { joined } from './joined.ts'

test("the caller's bytes stay as they are", { tags: 'slow' }, async () => {
  for (const name of ['h264.mp4', 'frag-sound.mp4', 'zlib.mkv', 'twice.webm']) {
    const bytes = clip(name)
    await read(bytes)
    expect(bytes.equals(clip(name)), name).toBe(true)
  }
})

describe('MP4 and MOV', () => {
  const [ftyp, free, mdat, moov] = boxesOf(clip('h264.mp4')).map(({ bytes }) => bytes) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ]

  test.each(['wide', 'free', 'skip', 'pnot', 'styp'])(
    'a file that begins with %s',
    async (kind) => {
      const bytes = clip('h264.mp4')
      bytes.write(kind, 4, 'latin1')
      expect(await read(bytes)).toEqual({ frames: 10, error: null, warnings: [] })
    },
  )

  test('a file that begins with its pictures, or with its index', async () => {
    const first = clip('h264.mp4')
    first.writeUInt32BE(ftyp.length + free.length + mdat.length, 0)
    first.write('mdat', 4, 'latin1')
    expect(await read(first)).toEqual({ frames: 10, error: null, warnings: [] })
    const moved = Buffer.from(moov)
    const chunks = moved.indexOf('stco') + 12
    moved.writeUInt32BE(
      moved.readUInt32BE(chunks) + moov.length - ftyp.length - free.length,
      chunks,
    )
    const video = await openVideo(Buffer.concat([moved, mdat]))
    expect(video.info.container).toBe('mov')
    expect((await hashesOf(video)).count).toBe(10)
  })

  test('sound whose table names more samples than the file has bytes', async () => {
    const hdlr = box('hdlr', 0, 0, Buffer.from('soun'), Buffer.alloc(13))
    const sound = box(
      'trak',
      box('tkhd', Buffer.alloc(84)),
      box('mdia', hdlr, box('minf', box('stbl', box('stsz', 0, 1, 44_100_000)))),
    )
    const bytes = Buffer.concat([ftyp, free, mdat, box('moov', moov.subarray(8), sound)])
    expect(await read(bytes)).toEqual({ frames: 10, error: null, warnings: [] })
  })

  test('two sample descriptions of different codecs', async () => {
    const bytes = clip('stsd-two.mp4')
    bytes.write('hvc1', bytes.lastIndexOf('avc1'), 'latin1')
    const { error } = await read(bytes)
    expect(error).toBe('The codec changes from avc1 to hvc1 after 1.000 s: split the video there')
  })

  test('fragments that are cut short', async () => {
    const bytes = clip('frag.mp4')
    const last = bytes.lastIndexOf('moof') - 4
    expect(await read(bytes.subarray(0, last + 20))).toMatchObject({
      frames: 5,
      error: `The video in memory is cut short: the fragment at byte ${last} is not complete`,
    })
    expect(await read(bytes.subarray(0, bytes.lastIndexOf('mdat') + 50))).toMatchObject({
      frames: 5,
      error: 'The video in memory is cut short: frames that its index names lie beyond its end',
    })
  })

  test('a fragment that declares billions of samples is refused at once', async () => {
    const bytes = clip('frag.mp4')
    bytes.writeUInt32BE(0xfffffff0, bytes.indexOf('trun') + 8)
    expect((await read(bytes)).error).toBe(
      'The video in memory has an index that names more frames than the file can hold: ' +
        'it is damaged',
    )
    // All values are defaults, so the run itself is short.
    const at = bytes.indexOf('moof') - 4
    const run = box('moof', box('traf', box('tfhd', 0x20, 1, 0), box('trun', 0, 0xfffffff0)))
    expect((await read(Buffer.concat([bytes.subarray(0, at), run]))).error).toMatch(
      /names more frames than the file can hold/,
    )
  })

  // mediabunny read into the following boxes and created as many samples as their bytes stated.
  test.each(['stts', 'ctts', 'stss', 'stsc', 'stco'])(
    'a table (%s) that counts more entries than it has',
    async (kind) => {
      const bytes = clip('h264.mp4')
      bytes.writeUInt32BE(0xffff, bytes.indexOf(kind) + 8)
      expect(await read(bytes)).toEqual({ frames: 10, error: null, warnings: [] })
    },
  )

  test('mediabunny sees no boxes of encryption, whose counts are not checked', () => {
    const picture = box('avc1', Buffer.alloc(78), box('avcC', 7), box('sinf', 8))
    expect(Buffer.from(describeEntry(picture).entry)).toEqual(
      box('avc1', Buffer.alloc(78), box('avcC', 7)),
    )
    const header = box('tfhd', 0x20038, 1, 1, 1, 0)
    const run = box('trun', 0, 1)
    const other = box('traf', box('tfhd', 0, 2), run)
    const moof = box('moof', other, box('traf', header, box('saiz', 0, 0xfffffff0), run))
    const { changed, times } = readFragment(moof, 0, 1, new Map(), 10)!
    expect(times).toEqual([0])
    const kinds = boxesOf(boxesOf(Buffer.from(changed!))[0]!.bytes.subarray(8))
    expect(kinds.map(({ kind }) => kind)).toEqual(['free', 'traf'])
    const inner = boxesOf(kinds[1]!.bytes.subarray(8)).map(({ kind }) => kind)
    expect(inner).toEqual(['tfhd', 'free', 'trun'])
  })

  test('unsupported kinds, by name, and still pictures', async () => {
    const bytes = clip('mjpeg.mp4')
    // The object type is after the tags and lengths of two descriptors.
    const at = bytes.indexOf(0x6c, bytes.indexOf('esds'))
    bytes[at] = 0x20
    expect((await read(bytes)).error).toMatch(
      joined(
        /^The video in memory holds video of the kind "MPEG-4 Part 2"; H\.264, HEVC, /,
        /.* are read: convert it/,
      ),
    )
    expect((await read(media('still.avif'))).error).toMatch(
      joined(
        /still\.avif" is a still picture \(AVIF\), which is not read: /,
        /convert it with ffmpeg -i INPUT OUTPUT\.png$/,
      ),
    )
  })
})

describe('Matroska', () => {
  test('two files that were joined are one video', async () => {
    expect(await timesOf(media('twice.webm'))).toEqual(
      Array.from({ length: 20 }, (_, i) => 100 * i),
    )
    // Also with known sizes.
    const { frames, error } = await read(Buffer.concat([clip('odd.webm'), clip('odd.webm')]))
    expect({ frames, error }).toEqual({ frames: 16, error: null })
  })

  test('a live recording that was interrupted', async () => {
    const { frames, error, warnings } = await read(media('mkv-live-cut.mkv'))
    expect({ frames, error }).toEqual({ frames: 15, error: null })
    expect(warnings).toEqual([
      expect.stringMatching(
        /mkv-live-cut\.mkv" ends within the element at byte \d+: its recording was interrupted$/,
      ),
    ])
  })

  test('unknown elements between known ones are skipped', async () => {
    const bytes = clip('zlib.mkv')
    const segment = bytes.indexOf(Buffer.from('18538067', 'hex'))
    const live = Buffer.concat([
      bytes.subarray(0, segment),
      element(0x18538067, 'unknown'),
      element(0x4abc, Buffer.alloc(7)),
      bytes.subarray(segment + 12),
    ])
    expect(await read(live)).toMatchObject({ frames: 20, error: null })
  })

  test('packets that are encrypted, and ones that are no zlib streams', async () => {
    const bytes = clip('zlib.mkv')
    bytes.fill(0x55, 6000, 6020)
    expect((await read(bytes)).error).toMatch(
      /^The video in memory cannot be read \(.*\): it may be damaged$/,
    )
    // ContentEncryption instead of ContentCompression.
    bytes[bytes.indexOf(Buffer.from('6d8086624083503480', 'hex')) + 7] = 0x35
    expect((await read(bytes)).error).toBe(
      'The video in memory has video that is encrypted: give a copy without protection',
    )
  })

  test('the search for the next cluster after damage ends', {
    tags: 'slow',
    timeout: 20_000,
  }, async () => {
    const bytes = clip('odd.webm')
    const cluster = bytes.lastIndexOf(Buffer.from('1f43b675', 'hex'))
    for (let at = cluster + 12; at < cluster + 400; at += 9) {
      const broken = Buffer.from(bytes)
      broken[at] = 0
      await read(broken)
      // With no known element after it.
      await read(broken.subarray(0, broken.length - 30))
    }
  })
})

describe('colours', () => {
  test('tags of the stream are honoured', async () => {
    const of = async (name: string): Promise<object> =>
      (await hashesOf(await openVideo(media(name)))).frames[0]!
    expect(await of('s240m.mp4')).toMatchObject({ matrix: 'smpte240m', siting: 'left' })
    expect(await of('siting-topleft.mp4')).toMatchObject({ siting: 'topleft' })
    expect(await of('fcc-center.mp4')).toMatchObject({ matrix: 'fcc', siting: 'center' })
  })

  test('unsupported features are named in the error', async () => {
    expect((await read(media('ycgco.mp4'))).warnings).toEqual([
      expect.stringMatching(
        joined(
          /ycgco\.mp4" has the colour matrix YCgCo, which is not supported: /,
          /the matrix of its size is used$/,
        ),
      ),
      expect.stringMatching(
        /ycgco\.mp4" has chroma samples at location 4, which is not supported: left is used$/,
      ),
    ])
  })
})

test.skipIf(!hasWasm())(
  "mediabunny's console is left alone, and it has nothing to say",
  async () => {
    const spies = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')]
    try {
      for (const name of ['mjpeg.mov', 'mjpeg.mp4'])
        await read(media(name), { decoder: 'wasm', decoderUrl })
      for (const name of ['elst-slow.mp4', 'zlib.mkv', 'stsd-two.mp4', 'audio.mp4'])
        await read(media(name))
      expect(Logging.level).toBe(LogLevel.Info)
      for (const spy of spies) expect(spy).not.toHaveBeenCalled()
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
  },
)

test.each(['getRotation', 'computeFrameRateMetrics'] as const)(
  'what mediabunny throws in %s gets a sentence',
  async (method) => {
    // The same error as for laced blocks that are damaged.
    vi.spyOn(InputVideoTrack.prototype, method).mockRejectedValueOnce(
      new Error('Assertion failed.'),
    )
    expect((await read(clip('odd.webm'))).error).toBe(
      'The video in memory cannot be read (Assertion failed.): it may be damaged',
    )
  },
)
