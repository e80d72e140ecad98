/** Unknown options, and values that are not a video, a model or a snapshot. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkOptions } from '../src/base/options.ts'
import { openCheckpoint, type Stream, TRecViT, TrecvitError } from '../src/index.ts'
import { fromTrack, openVideo, readFrames, sample } from '../src/video/index.ts'
import { media } from './clips.ts'
import { goldenUrl } from './goldens.ts'

const small = goldenUrl('small.npz')
let model: TRecViT
let stream: Stream
beforeAll(async () => {
  model = await TRecViT.load(small, { device: 'wasm', threads: 1 })
  stream = model.stream()
})
afterAll(() => model.dispose())

async function errorOf(work: () => unknown): Promise<string> {
  const error = await (async () => work())().then(
    () => 'no error',
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}
const first = (frames: AsyncIterable<unknown>) => frames[Symbol.asyncIterator]().next()
const clip = media('h264.mp4')
/** Options without type checks, as in JavaScript. */
const wrong = (options: unknown) => options as never

describe('a misspelt option is refused, with the right one', () => {
  test.each<[string, string, (name: string) => unknown]>([
    ['load', 'devise', (name) => TRecViT.load(small, wrong({ [name]: 'wasm' }))],
    ['classify', 'topk', (name) => model.classify(clip, wrong({ [name]: 1 }))],
    ['classify', 'decoderURL', (name) => model.classify(clip, wrong({ [name]: 1 }))],
    ['forward', 'onprogress', (name) => model.forward(wrong({}), wrong({ [name]: 1 }))],
    ['features', 'sinal', (name) => model.features(wrong({}), wrong({ [name]: 1 }))],
    ['stream', 'averge', (name) => model.stream(wrong({ [name]: 'all' }))],
    ['resume', 'top_k', (name) => model.resume(new Uint8Array(), wrong({ [name]: 1 }))],
    ['program', 'T', (name) => model.program(wrong({ [name]: 1 }))],
    ['push', 'signals', (name) => stream.push(wrong({}), wrong({ [name]: 1 }))],
    ['run', 'strid', (name) => first(stream.run([], wrong({ [name]: 1 })))],
    ['snapshot', 'dType', (name) => stream.snapshot(wrong({ [name]: 'f16' }))],
    ['openCheckpoint', 'signl', (name) => openCheckpoint(small, wrong({ [name]: 1 }))],
    ['openVideo', 'decodr', (name) => openVideo(clip, wrong({ [name]: 'wasm' }))],
    ['openVideo', 'decodr', (name) => first(readFrames(clip, wrong({ [name]: 'wasm' })))],
    ['sample', 'frame', (name) => sample(wrong([]), wrong({ [name]: 1 }))],
    ['fromTrack', 'que', (name) => fromTrack(wrong({}), wrong({ [name]: 1 }))],
  ])('%s: %s', async (what, name, call) => {
    expect(await errorOf(() => call(name))).toMatch(
      new RegExp(`^"${what}" has no option "${name}"; did you mean "\\w+"\\?$`),
    )
  })

  test('without one that resembles it, all are named', () => {
    const names = { device: 1, dtype: 1 } as const
    const check = (options: object) => checkOptions('load', wrong(options), names)
    expect(() => check({ zebra: 1 })).toThrow(
      new TrecvitError('"load" has no option "zebra"; it has device, dtype'),
    )
    expect(() => check({ typed: 1 })).toThrow(/did you mean "dtype"/)
    expect(() => check({ constructor: 1 })).toThrow(/^"load" has no option "constructor"/)
    check({ device: undefined })
  })

  test.each<[unknown, string]>([
    [null, 'null'],
    ['wasm', '"wasm"'],
    [5, '5'],
  ])('options that are no object: %j', async (options, shown) => {
    expect(await errorOf(() => model.classify(clip, wrong(options)))).toBe(
      `"classify" expected an object of options, got ${shown}`,
    )
  })
})

test.each<[string, unknown, string]>([
  ['undefined', undefined, 'undefined'],
  ['null', null, 'null'],
  ['{}', {}, 'Object'],
  ['5', 5, '5'],
  ['true', true, 'true'],
])('%s is no video', async (_, value, shown) => {
  const kinds = 'a path, URL, Blob, bytes, an array [t, H, W, 3] or frames'
  const message = `A video expected ${kinds}, got ${shown}`
  expect(await errorOf(() => model.classify(wrong(value)))).toBe(message)
  expect(await errorOf(() => first(stream.run(wrong(value))))).toBe(message)
})

test('values that are not a snapshot or a device are refused', async () => {
  expect(await errorOf(() => model.resume(wrong(undefined)))).toBe(
    'A snapshot expected a Uint8Array, got undefined',
  )
  expect(await errorOf(() => stream.moveTo(wrong('gpu')))).toBe(
    `"moveTo" expected 'webgpu' or 'wasm', got "gpu"`,
  )
})

test('classify and run pass on options for opening a file', { tags: 'slow' }, async () => {
  const decoderUrl = new URL('file:///nowhere/decoder.wasm')
  const options = { decoder: 'wasm', decoderUrl, frames: 1 } as const
  const message = /cannot be decoded \(.*nowhere\/decoder\.wasm/
  expect(await errorOf(() => model.classify(clip, options))).toMatch(message)
  expect(await errorOf(() => first(stream.run(clip, options)))).toMatch(message)
  const raw = new Uint8Array(4 * 12 * 12 * 3)
  const format = { rawvideo: 'rgb24', width: 12, height: 12 } as const
  expect((await model.classify(raw, { format, stride: 2 })).frames).toBe(2)
  let frames = 0
  for await (const { frame } of stream.run(raw, { format, stride: 2 })) frames = frame + 1
  expect(frames).toBe(2)
})
