/** Listeners on the signal of a caller: removed at each end of a video, and few at any time. */
import { getEventListeners } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { onAbort, pause } from '../src/base/abort.ts'
import { openVideo, type Video, type VideoSource } from '../src/video/index.ts'
import { decoderUrl, hasFfmpeg, hasWasm, media } from './clips.ts'
import { frames, load } from './smallStream.ts'

const COUNT = 50

// Node holds a listener with the option "signal" weakly, so that a garbage collection shows whether
// it is removed.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const picture = new Uint8Array(8 * 8 * 3)
const rawVideo = Buffer.concat([picture, picture])
const format = { rawvideo: 'rgb24', width: 8, height: 8 } as const
const clip = readFileSync(media('h264.mp4'))

let server: Server
let address: string
beforeAll(async () => {
  server = createServer((request, response) => {
    const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
    if (request.url !== '/ranges' || start === undefined) return void response.end(rawVideo)
    const last = Math.min(Number(end), clip.length - 1)
    const range = `bytes ${start}-${last}/${clip.length}`
    response.writeHead(206, { 'content-range': range, etag: '"1"' })
    response.end(clip.subarray(Number(start), last + 1))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const file = join(mkdtempSync(join(tmpdir(), 'trecvit-abort-')), 'raw')
writeFileSync(file, rawVideo)
afterAll(() => rmSync(dirname(file), { recursive: true }))

// Decoders are slow to start, and a few videos are enough to see a listener that is left.
const wasm = { decoder: 'wasm', decoderUrl } as const
const sources: readonly [string, number, () => VideoSource, object, boolean][] = [
  ['a file', COUNT, () => file, { format }, true],
  ['a server', COUNT, () => address, { format }, true],
  ['a stream', COUNT, () => new Blob([rawVideo]).stream(), { format }, true],
  ['a file with a decoder', 3, () => media('h264.mp4'), wasm, hasWasm()],
  ['a server with ranges', 3, () => `${address}/ranges`, wasm, hasWasm()],
  ['memory with a process', 3, () => clip, { decoder: 'ffmpeg' }, hasFfmpeg()],
]

describe.each(sources)('videos from %s leave no listener', (_, count, source, options, isHere) => {
  // In npm test those without a decoder.
  const tags = count === COUNT ? [] : ['slow']
  async function each(use: (open: () => Promise<Video>, round: number) => Promise<void>) {
    const { signal } = new AbortController()
    const warnings: Error[] = []
    const warn = (warning: Error): void => void warnings.push(warning)
    process.on('warning', warn)
    const open = () => openVideo(source(), { ...options, signal })
    // Two videos are open at any time, as in the command line.
    let other = await open()
    for (let round = 1; round < count; round++) {
      const next = await open()
      if (round % 25 === 2) collect()
      await use(open, round)
      await other.close()
      other = next
    }
    await other.close()
    collect()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warn)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(warnings).toEqual([])
  }

  test.skipIf(!isHere)('when they are read', { tags }, () =>
    each(async (open) => {
      let frames = 0
      for await (const _frame of await open()) frames++
      expect(frames).toBeGreaterThan(1)
    }),
  )

  test.skipIf(!isHere)('when they are closed early', { tags }, () =>
    each(async (open, round) => {
      const video = await open()
      if (round % 2 === 0) for await (const _frame of video) break
      await video.close()
    }),
  )

  test.skipIf(!isHere)('when the loop fails', { tags }, () =>
    each(async (open) => {
      const read = async (): Promise<void> => {
        for await (const _frame of await open()) throw new Error('not today')
      }
      await expect(read()).rejects.toThrow('not today')
    }),
  )
})

test('videos that cannot be opened or read leave no listener', { tags: 'slow' }, async () => {
  const { signal } = new AbortController()
  const cut = rawVideo.subarray(0, 300)
  for (let round = 0; round < COUNT; round++) {
    await expect(openVideo(media('missing.mp4'), { signal })).rejects.toThrow('missing.mp4')
    await expect(openVideo(new Uint8Array(99), { signal })).rejects.toThrow('no video')
    await expect(openVideo(media('noindex.mp4'), { signal })).rejects.toThrow('noindex.mp4')
    const read = async (): Promise<void> => {
      for await (const _ of await openVideo(cut, { format, signal }));
    }
    await expect(read()).rejects.toThrow('cut short')
    if (round % 25 === 2) collect()
  }
  collect()
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('many videos at once share a listener, and an abort ends all of them', async () => {
  const stop = new AbortController()
  const open = () => openVideo(rawVideo, { format, signal: stop.signal })
  const videos = await Promise.all(Array.from({ length: COUNT }, open))
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
  await videos[0]!.close()
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
  stop.abort(new Error('enough'))
  for (const video of videos.slice(1)) {
    const read = async (): Promise<void> => {
      for await (const _ of video);
    }
    await expect(read()).rejects.toThrow('enough')
  }
  expect(getEventListeners(stop.signal, 'abort')).toEqual([])
})

test('pauses and frames of a stream leave no listener', { tags: 'slow' }, async () => {
  await using model = await load({ device: 'wasm' })
  await using stream = model.stream()
  const stop = new AbortController()
  const { signal } = stop
  for (let round = 0; round < COUNT; round++) {
    await pause(0, signal)
    await stream.push(frames[0]!, { signal })
  }
  expect(getEventListeners(signal, 'abort')).toEqual([])
  const long = pause(60_000, signal)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  stop.abort(new Error('enough'))
  await expect(long).rejects.toThrow('enough')
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('functions are called in order, once, and not after they were undone', () => {
  const stop = new AbortController()
  const calls: string[] = []
  const add = (name: string) => onAbort(stop.signal, () => calls.push(name))
  const undo = [add('first'), add('second'), add('third')]
  undo[1]!()
  undo[1]!()
  stop.abort()
  stop.abort()
  for (const one of undo) one()
  expect(calls).toEqual(['first', 'third'])
  add('late')
  onAbort(undefined, () => calls.push('none'))()
  expect(calls).toEqual(['first', 'third'])
})
