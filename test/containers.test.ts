/**
 * The structure of MP4, MOV, WebM and Matroska: what edit lists, fragments and joined files show,
 * and what a hostile file costs.
 */

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { InputVideoTrack, Logging, LogLevel } from 'mediabunny'
import { describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { readFragment } from '../src/video/isobmff/fragment.ts'
import { describeEntry } from '../src/video/isobmff/sampleEntry.ts'
import { be32, box, boxesOf, element, flood, withEdits } from './boxes.ts'
import { decoderUrl, hashesOf, hasWasm, media } from './clips.ts'
import { joined } from './joined.ts'

/** Hashes of planes are of no interest where times tell the pictures apart. */
async function timesOf(source: VideoSource, options: OpenOptions = {}): Promise<number[]> {
  return (await hashesOf(await openVideo(source, options))).times.map((time) =>
    Math.round(time * 1000),
  )
}

/**
 * What opening and reading come to: frames, the sentence at the end if there is one, and the
 * warnings.
 */
async function read(
  source: VideoSource,
  options: OpenOptions = {},
): Promise<{ frames: number; error: string | null; warnings: readonly string[] }> {
  let frames = 0
  let warnings: readonly string[] = []
  try {
    const video = await openVideo(source, options)
    warnings = video.warnings
    for await (const _ of video) frames++
    return { frames, error: null, warnings }
  } catch (error) {
    expect(error).toBeInstanceOf(TrecvitError)
    return { frames, error: (error as Error).message, warnings }
  }
}

const clip = (name: string): Buffer => readFileSync(media(name))

describe('edit lists', () => {
  // h264.mp4: ten frames of 1024 ticks from tick 2048 on.
  const cases: [
    name: string,
    edits: [number, number, number][],
    times: number[],
    info: { frames: number; duration: number },
  ][] = [
    ['an end', [[600, 2048, 1]], [0, 100, 200, 300, 400, 500], { frames: 6, duration: 0.6 }],
    ['a beginning', [[300, 2048 + 5 * 1024, 1]], [0, 100, 200], { frames: 3, duration: 0.3 }],
    [
      'a beginning between two frames',
      [[300, 2048 + 5 * 1024 - 512, 1]],
      [0, 100, 200],
      { frames: 3, duration: 0.3 },
    ],
    [
      'a gap in the media',
      [
        [200, 2048, 1],
        [300, 2048 + 6 * 1024, 1],
      ],
      [0, 100, 200, 300, 400],
      { frames: 5, duration: 0.5 },
    ],
    [
      'an empty edit before',
      [
        [500, -1, 1],
        [200, 2048, 1],
      ],
      [0, 100],
      { frames: 2, duration: 0.2 },
    ],
    [
      'an empty edit between',
      [
        [200, 2048, 1],
        [500, -1, 1],
        [200, 4096, 1],
      ],
      [0, 100, 700, 800],
      { frames: 4, duration: 0.9 },
    ],
    [
      'a part that is shown twice',
      [
        [300, 2048, 1],
        [200, 2048, 1],
      ],
      [0, 100, 200, 300, 400],
      { frames: 5, duration: 0.5 },
    ],
    [
      'parts in another order',
      [
        [200, 2048 + 4 * 1024, 1],
        [200, 2048, 1],
      ],
      [0, 100, 200, 300],
      { frames: 4, duration: 0.4 },
    ],
    ['no end', [[0, 2048 + 7 * 1024, 1]], [0, 100, 200], { frames: 3, duration: 1 }],
  ]
  test.each(cases)('%s', async (_, edits, times, info) => {
    const bytes = withEdits('h264.mp4', edits)
    const video = await openVideo(bytes)
    expect(video.info).toMatchObject(info)
    expect(video.warnings).toEqual([])
    await video.close()
    expect(await timesOf(bytes)).toEqual(times)
  })

  test('show the pictures that they name', async () => {
    const hashes = async (bytes: Buffer): Promise<string> =>
      (await hashesOf(await openVideo(bytes))).first
    const [third, gap] = [
      withEdits('h264.mp4', [[100, 2048 + 3 * 1024, 1]]),
      withEdits('h264.mp4', [
        [300, 2048 + 3 * 1024, 1],
        [100, 2048, 1],
      ]),
    ]
    expect(await hashes(third)).toBe(await hashes(gap))
    expect(await hashes(third)).not.toBe(await hashes(clip('h264.mp4')))
  })

  test('a media rate is not supported, and said so', async () => {
    const { frames, warnings } = await read(withEdits('h264.mp4', [[500, 2048, 2]]))
    expect({ frames, warnings }).toEqual({
      frames: 5,
      warnings: [
        'The video in memory has an edit list with media rate 2, which is not supported: ' +
          'rate 1 is used',
      ],
    })
  })

  test('times of clips that were cut, that go back, and whose clocks are odd', async () => {
    const even = (count: number): number[] => Array.from({ length: count }, (_, i) => 100 * i)
    for (const decoder of ['native', 'ffmpeg'] as const) {
      expect(await timesOf(media('h264-ss.mp4'), { decoder })).toEqual(even(24))
      expect(await timesOf(media('hevc-ss.mp4'), { decoder })).toEqual(even(24))
      expect(await timesOf(media('elst-slow.mp4'), { decoder })).toEqual(even(25))
    }
    expect((await openVideo(media('same-time.mp4'))).info.fps).toBeNull()
    const jump = await openVideo(media('jump.mp4'))
    expect(jump.info.fps).toBeCloseTo(10)
    expect(jump.warnings).toEqual([
      expect.stringMatching(/jump\.mp4" has a gap of 3600 s between two frames$/),
    ])
    await jump.close()
  })
})

test("the caller's bytes stay as they are", async () => {
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

  test('a fragment that counts billions is refused before it is believed', async () => {
    const bytes = clip('frag.mp4')
    bytes.writeUInt32BE(0xfffffff0, bytes.indexOf('trun') + 8)
    expect((await read(bytes)).error).toBe(
      'The video in memory has an index that names more frames than the file can hold: ' +
        'it is damaged',
    )
    // All from defaults: the run itself is short.
    const at = bytes.indexOf('moof') - 4
    const run = box('moof', box('traf', box('tfhd', 0x20, 1, 0), box('trun', 0, 0xfffffff0)))
    expect((await read(Buffer.concat([bytes.subarray(0, at), run]))).error).toMatch(
      /names more frames than the file can hold/,
    )
  })

  // mediabunny read on in the boxes that follow, and created as many samples as it found there.
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

  test('a kind that is not read, by its name, and a still picture', async () => {
    const bytes = clip('mjpeg.mp4')
    // The object type: behind the tags of two descriptors and their lengths.
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
    // Known sizes, too.
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

  test('unknown elements, where known ones follow', async () => {
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

  test('broken parts of a cluster do not make the search for the next one endless', {
    timeout: 20_000,
  }, async () => {
    const bytes = clip('odd.webm')
    const cluster = bytes.lastIndexOf(Buffer.from('1f43b675', 'hex'))
    for (let at = cluster + 12; at < cluster + 400; at += 9) {
      const broken = Buffer.from(bytes)
      broken[at] = 0
      await read(broken)
      // Without anything known behind it.
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

  test('what is not supported is said', async () => {
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

test('an edit list that goes back more than a hundred times is refused', async () => {
  const back = (passes: number): Buffer => withEdits('h264.mp4', Array(passes).fill([100, 2048, 1]))
  expect((await read(back(101))).error).toBe(
    'The video in memory has an edit list that goes back 100 times: ' +
      'convert it with ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4',
  )
  expect(await read(back(100))).toMatchObject({ frames: 100, error: null })
})

describe('what a file of a megabyte of small elements costs', { tags: 'slow' }, () => {
  const MEGABYTE = 1e6
  const boxes = boxesOf(clip('h264.mp4'))
  const [ftyp, moov] = [boxes[0]!.bytes, boxes.at(-1)!.bytes]
  const fragments = clip('frag.mp4')
  const init = fragments.subarray(0, fragments.indexOf('moof') - 4)
  const webm = clip('odd.webm')
  const segment = webm.indexOf(Buffer.from('18538067', 'hex'))
  const cluster = webm.indexOf(Buffer.from('1f43b675', 'hex'))
  const live = (...parts: Uint8Array[]): Buffer =>
    Buffer.concat([
      webm.subarray(0, segment),
      element(0x18538067, 'unknown'),
      webm.subarray(segment + 12, cluster),
      ...parts,
    ])
  const hex = (text: string): Buffer => Buffer.from(text, 'hex')
  const nested = (kind: string): Buffer => {
    const bytes = flood(box(kind), MEGABYTE)
    for (let at = 0; at < bytes.length; at += 8) bytes.writeUInt32BE(bytes.length - at, at)
    return bytes
  }
  const files: Record<string, () => Buffer> = {
    'boxes before the index': () => Buffer.concat([ftyp, flood(box('free'), MEGABYTE), moov]),
    'boxes behind the pictures': () =>
      Buffer.concat([clip('h264.mp4'), flood(box('free'), MEGABYTE)]),
    'boxes in the index': () =>
      Buffer.concat([ftyp, box('moov', flood(box('free'), MEGABYTE), moov.subarray(8))]),
    tracks: () =>
      Buffer.concat([
        ftyp,
        box(
          'moov',
          moov.subarray(8),
          flood(moov.subarray(moov.indexOf('trak') - 4, moov.indexOf('udta') - 4), MEGABYTE),
        ),
      ]),
    'nested boxes': () => Buffer.concat([ftyp, box('moov', box('trak', nested('mdia')))]),
    'empty fragments': () => Buffer.concat([init, flood(box('moof'), MEGABYTE)]),
    'tracks of a fragment': () => Buffer.concat([init, box('moof', flood(box('traf'), MEGABYTE))]),
    'fragments of an empty sample': () =>
      Buffer.concat([
        init,
        flood(box('moof', box('traf', box('tfhd', 0, 1), box('trun', 0, 1))), MEGABYTE),
      ]),
    edits: () => {
      const entry = Buffer.concat([be32(100), be32(2048), be32(65536)])
      const edts = box('edts', box('elst', 0, MEGABYTE / 12, flood(entry, MEGABYTE)))
      const at = moov.indexOf('edts') - 4
      const trak = moov.indexOf('trak') - 4
      const inside = Buffer.concat([
        moov.subarray(trak + 8, at),
        edts,
        moov.subarray(at + moov.readUInt32BE(at), trak + moov.readUInt32BE(trak)),
      ])
      return Buffer.concat([
        ...boxes.slice(0, 3).map(({ bytes }) => bytes),
        box('moov', moov.subarray(8, trak), box('trak', inside)),
      ])
    },
    'padding before the clusters': () => live(flood(hex('ec80'), MEGABYTE), webm.subarray(cluster)),
    'padding behind the clusters': () => live(webm.subarray(cluster), flood(hex('ec80'), MEGABYTE)),
    clusters: () => live(flood(hex('1f43b67580'), MEGABYTE)),
    'clusters within clusters': () => {
      const bytes = flood(hex('1f43b67510000000'), MEGABYTE)
      for (let at = 0; at < bytes.length; at += 8)
        bytes.writeUInt32BE(0x10000000 + bytes.length - at - 8, at + 4)
      return live(webm.subarray(cluster), bytes)
    },
    'clusters of unknown size': () => live(flood(hex('1f43b675ff'), MEGABYTE)),
    'a cluster of padding': () => live(hex('1f43b675ff'), flood(hex('ec80'), MEGABYTE)),
    blocks: () => live(element(0x1f43b675, flood(hex('a384810000 80'.replace(' ', '')), MEGABYTE))),
    cues: () =>
      live(
        element(0x1c53bb6b, flood(hex('bb8ab38100b785f78101f180'), MEGABYTE)),
        webm.subarray(cluster),
      ),
    'unknown elements': () => live(flood(hex('424280'), MEGABYTE)),
    segments: () => Buffer.concat([webm.subarray(0, segment), flood(hex('1853806780'), MEGABYTE)]),
  }

  test.each(Object.entries(files))('%s', { timeout: 20_000 }, async (_, make) => {
    const bytes = make()
    const before = process.cpuUsage()
    const video = await openVideo(bytes).catch((error: unknown) => {
      expect(error).toBeInstanceOf(TrecvitError)
    })
    const { user } = process.cpuUsage(before)
    await video?.close()
    // Alone on a machine: below 0.3 s. Before: up to 17.
    expect(user / 1e6).toBeLessThan(2)
  })

  test.each(Object.entries(files))('%s, through a pipe', { timeout: 20_000 }, async (_, make) => {
    const bytes = make()
    const before = process.cpuUsage()
    await read(new Blob([new Uint8Array(bytes)]).stream())
    const { user } = process.cpuUsage(before)
    expect(user / 1e6).toBeLessThan(2)
  })

  test('an abort is heard in the middle', async () => {
    for (const bytes of [
      Buffer.concat([ftyp, flood(box('free'), 16 * MEGABYTE)]),
      live(flood(hex('ec80'), 6 * MEGABYTE)),
    ]) {
      const stop = new AbortController()
      let aborted = Infinity
      setTimeout(() => {
        aborted = performance.now()
        stop.abort(new Error('enough'))
      }, 5)
      await expect(openVideo(bytes, { signal: stop.signal })).rejects.toThrow('enough')
      expect(performance.now() - aborted).toBeLessThan(1000)
    }
  })

  test('over HTTP, a request brings a piece and not an element', { timeout: 20_000 }, async () => {
    const bytes = files['boxes before the index']!()
    let requests = 0
    const server = createServer((request, response) => {
      requests++
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? 'bytes=0-')!
      const end = Math.min(bytes.length - 1, to === '' ? Infinity : Number(to))
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${end}/${bytes.length}` })
        .end(bytes.subarray(Number(from), end + 1))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = server.address() as { port: number }
      expect((await read(`http://127.0.0.1:${port}/flood`)).frames).toBe(0)
      expect(requests).toBeLessThan(25)
    } finally {
      server.close()
    }
  })
})

/** mediabunny searches for ever where 8 bytes are left. */
describe('a WebM with 8 bytes behind its clusters', () => {
  const webm = clip('odd.webm')
  const size = webm.indexOf(Buffer.from('18538067', 'hex')) + 4
  webm.set(Buffer.from('01ffffffffffffff', 'hex'), size)

  test.each([
    ['of no element', '01f18201adf08103', /^The stream is damaged at byte/],
    ['of a checksum', 'bf86000000000000', null],
    ['of a segment', '1853806783ec8100', /^The stream is damaged at byte/],
    ['of another file', '1a45dfa383428100', /^The stream continues with another file at byte/],
  ])('%s', async (_, bytes, error) => {
    const { frames } = await read(clip('odd.webm'))
    const file = Buffer.concat([webm, Buffer.from(bytes, 'hex')])
    expect(await read(file)).toMatchObject({ frames })
    const piped = await read(new Blob([file]).stream())
    if (error === null) expect(piped).toMatchObject({ frames, error })
    else expect(piped.error).toMatch(error)
  })
})

test('a stream that claims more than there is takes no memory for it', async () => {
  const webm = clip('odd.webm')
  for (const id of ['1549a966', '1654ae6b', '1f43b675', '1254c367']) {
    const at = webm.indexOf(Buffer.from(id, 'hex'))
    const claims = Buffer.from('080f000000', 'hex')
    const file = Buffer.concat([webm.subarray(0, at + 4), claims, webm.subarray(at + 5)])
    const { arrayBuffers } = process.memoryUsage()
    const video = openVideo(new Blob([file]).stream())
    await expect(video).rejects.toThrow(TrecvitError)
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(64 * 2 ** 20)
  }
})

test.each(['getRotation', 'computeFrameRateMetrics'] as const)(
  'what mediabunny throws in %s gets a sentence',
  async (method) => {
    // As for laced blocks that do not fit.
    vi.spyOn(InputVideoTrack.prototype, method).mockRejectedValueOnce(
      new Error('Assertion failed.'),
    )
    expect((await read(clip('odd.webm'))).error).toBe(
      'The video in memory cannot be read (Assertion failed.): it may be damaged',
    )
  },
)
