/** MP4 from streams: same frames, errors and limits as from files. */
import { readFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { openVideo, type VideoSource } from '../src/video/index.ts'
import { box, boxesOf, flood, withEdits } from './boxes.ts'
import { hashesOf, media } from './clips.ts'

const clip = (name: string): Buffer => readFileSync(media(name))

/** Returns the same file with the index before the media data. */
function indexFirst(bytes: Buffer): Buffer {
  const all = boxesOf(bytes)
  const moov = Buffer.from(all.find(({ kind }) => kind === 'moov')!.bytes)
  const at = moov.indexOf('stco') + 8
  for (let i = 0; i < moov.readUInt32BE(at); i++) {
    const chunk = at + 4 + 4 * i
    moov.writeUInt32BE(moov.readUInt32BE(chunk) + moov.length, chunk)
  }
  const rest = all.filter(({ kind }) => kind !== 'moov').map((one) => one.bytes)
  return Buffer.concat([rest[0]!, moov, ...rest.slice(1)])
}

/** Returns a stream of the bytes in pieces. */
function streamOf(bytes: Uint8Array, piece = 1 << 16): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        controller.enqueue(new Uint8Array(bytes.subarray(at, at + piece)))
        at += piece
      },
    },
    { highWaterMark: 0 },
  )
}

/** Returns the frames, or the error without the name of the source. */
async function outcome(source: VideoSource): Promise<unknown> {
  try {
    const video = await openVideo(source)
    const { warnings } = video
    const { frames, ...info } = video.info
    const { times, first, sha256 } = await hashesOf(video)
    return { info, times, first, sha256, warnings: warnings.map(unnamed) }
  } catch (error) {
    expect(error).toBeInstanceOf(TrecvitError)
    return unnamed((error as Error).message)
  }
}

const unnamed = (text: string): string => text.replace(/^The (video in memory|stream)/, 'It')

test.each<[name: string, bytes: Buffer]>([
  ['a clip', indexFirst(clip('h264.mp4'))],
  ['a rotated clip', indexFirst(clip('rotated.mp4'))],
  ['a clip with two descriptions', indexFirst(clip('stsd-two.mp4'))],
  ['Motion JPEG', indexFirst(clip('mjpeg.mov'))],
  ['fragments', clip('frag.mp4')],
  ['fragments with sound', clip('frag-sound.mp4')],
  ['fragments of which the last is cut', clip('frag.mp4').subarray(0, -1500)],
  ['an edit list', indexFirst(withEdits('h264.mp4', [[300, 2048 + 5 * 1024, 1]]))],
  [
    'an edit list with a gap and a rate',
    indexFirst(
      withEdits('h264.mp4', [
        [200, 2048, 1],
        [500, -1, 1],
        [200, 4096, 2],
      ]),
    ),
  ],
  [
    'a part that is shown twice',
    indexFirst(
      withEdits('h264.mp4', [
        [300, 2048, 1],
        [200, 2048, 1],
      ]),
    ),
  ],
])('%s gives what the file gives', { tags: 'slow' }, async (_, bytes) => {
  const logged: unknown[] = []
  const spies = (['warn', 'error'] as const).map((method) =>
    vi.spyOn(console, method).mockImplementation((...words) => void logged.push(words)),
  )
  const expected = await outcome(bytes)
  for (const piece of [7, 1000, 1 << 20])
    expect(await outcome(streamOf(bytes, piece)), `pieces of ${piece}`).toEqual(expected)
  for (const spy of spies) spy.mockRestore()
  expect(logged).toEqual([])
})

test('frames are returned when their fragment is complete, before the next one', {
  tags: 'slow',
}, async () => {
  const all = boxesOf(clip('frag.mp4'))
  const first = all.findIndex(({ kind }) => kind === 'moof')
  const begin = Buffer.concat(all.slice(0, first).map(({ bytes }) => bytes))
  const [moof, mdat] = all.slice(first, first + 2).map(({ bytes }) => bytes) as [Buffer, Buffer]
  /** Returns the first five frames again, as the nth fragment. */
  const fragment = (n: number): Buffer => {
    const bytes = Buffer.concat([moof, mdat])
    const tfdt = bytes.indexOf('tfdt')
    bytes.writeUInt32BE(n * 5 * 1024, tfdt + (bytes[tfdt + 4] === 1 ? 12 : 8))
    return bytes
  }
  let send: (bytes: Uint8Array) => void
  const live = new ReadableStream<Uint8Array>({
    start(controller) {
      send = (bytes) => controller.enqueue(bytes)
    },
  })
  send!(begin)
  for (let n = 0; n < 20; n++) send!(fragment(n))
  const video = await openVideo(live, { decoder: 'ffmpeg' })
  expect(video.info.frames).toBeNull()
  const frames = video[Symbol.asyncIterator]()
  for (let i = 0; i < 80; i++) expect((await frames.next()).done).toBe(false)
  for (let n = 20; n < 23; n++) {
    send!(fragment(n))
    for (let i = 0; i < 5; i++) expect((await frames.next()).done).toBe(false)
  }
  await video.close()
})

const large = 1 << 20
const fragments = clip('frag.mp4')
const firstMoof = fragments.indexOf('moof') - 4
const counted = Buffer.from(fragments)
counted.writeUInt32BE(0xfffffff0, counted.indexOf('trun') + 8)
const table = indexFirst(clip('h264.mp4'))
const alike = Buffer.from(table)
alike.writeUInt32BE(1, alike.indexOf('stsz') + 8)
alike.writeUInt32BE(9_000_000, alike.indexOf('stsz') + 12)
const times = Buffer.from(table)
times.writeUInt32BE(0xfffffff0, times.indexOf('stts') + 12)
const huge = Buffer.from(table)
huge.writeUInt32BE(0x7fffffff, huge.indexOf('stsz') + 16)
const nowhere = Buffer.from(table)
nowhere.write('free', nowhere.indexOf('stco'))
const endless = box('moof', box('traf', box('tfhd', 0x38, 1, 1, 1, 0), box('trun', 0, 0xfffffff0)))
const tooMany = /^It has an index that names more frames than the file can hold: it is damaged$/
test.each<[name: string, bytes: Buffer, answer: RegExp]>([
  ['a fragment that counts billions', counted, tooMany],
  [
    'one whose frames are all alike',
    Buffer.concat([fragments.subarray(0, firstMoof), endless]),
    tooMany,
  ],
  ['a table that counts millions', alike, tooMany],
  ['a table of times that counts billions', times, tooMany],
  ['a frame of gigabytes', huge, /^It has a frame of 2147483647 bytes: at most 33554432 are read/],
  ['a table without places', nowhere, /^It has a video track without a picture/],
  [
    'a flood of fragments without frames',
    Buffer.concat([fragments.subarray(0, firstMoof), flood(box('moof', box('traf')), large)]),
    /^It .*(picture|damaged)/,
  ],
  [
    'pictures without an index',
    Buffer.concat([box('sidx'), flood(box('free'), 3 * large)]),
    /^It has no index of its tracks/,
  ],
  [
    'an index of gigabytes',
    Buffer.concat([box('ftyp', 0), Buffer.from('f0000000', 'hex'), Buffer.from('moov')]),
    /^It has an index of 4026531840 bytes: at most 268435456 are read$/,
  ],
])('%s is refused in time', async (_, bytes, answer) => {
  const start = performance.now()
  const memory = process.memoryUsage.rss()
  expect(await outcome(streamOf(bytes))).toMatch(answer)
  expect(performance.now() - start).toBeLessThan(5000)
  expect(process.memoryUsage.rss() - memory).toBeLessThan(200 << 20)
})

test('small boxes cost as little as in a file', { tags: 'slow' }, async () => {
  const small = Buffer.concat([fragments, flood(box('free'), large)])
  const start = performance.now()
  expect(await outcome(streamOf(small))).toEqual(await outcome(small))
  expect(performance.now() - start).toBeLessThan(5000)
})

test('an abort ends the reading of many small boxes', async () => {
  const stop = new AbortController()
  const boxes = flood(box('free'), large)
  const from = streamOf(fragments.subarray(0, firstMoof))
  const rest = new ReadableStream<Uint8Array>(
    { pull: (controller) => controller.enqueue(boxes) },
    { highWaterMark: 0 },
  )
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  void from
    .pipeTo(writable, { preventClose: true })
    .then(() => rest.pipeTo(writable))
    .catch(() => {})
  let late = Infinity
  setTimeout(() => {
    late = performance.now()
    stop.abort(new Error('enough'))
  }, 200)
  await expect(openVideo(readable, { signal: stop.signal })).rejects.toThrow('enough')
  expect(performance.now() - late).toBeLessThan(500)
})
