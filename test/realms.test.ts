/**
 * Values of another realm, as with jsdom, and a global object without the classes of browsers.
 */
import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { afterEach, expect, test, vi } from 'vitest'
import { asBytes, asFloats, asUrl, isBlob, isStream } from '../src/base/realm.ts'
import { type NdArray, openCheckpoint, TRecViT } from '../src/index.ts'
import { openVideo, type VideoSource } from '../src/video/index.ts'
import { expected, hashesOf, media } from './clips.ts'
import { goldenUrl } from './goldens.ts'

const realm = createContext({})
const foreign = (code: string): never => runInContext(code, realm) as never
const {
  Uint8Array: ForeignBytes,
  Float32Array: ForeignFloats,
  ArrayBuffer: ForeignBuffer,
} = foreign('({ Uint8Array, Float32Array, ArrayBuffer })') as typeof globalThis

function foreignBytes(bytes: Uint8Array): Uint8Array {
  const made = new ForeignBytes(bytes)
  expect(made).not.toBeInstanceOf(Uint8Array)
  return made
}

function foreignBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ForeignBuffer(bytes.length)
  new ForeignBytes(buffer).set(bytes)
  expect(buffer).not.toBeInstanceOf(ArrayBuffer)
  return buffer
}

/** The Blob of jsdom: its own class without arrayBuffer and stream, readable by a FileReader. */
class JsdomBlob {
  readonly bytes: Uint8Array
  readonly size: number
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.size = bytes.length
  }
  get [Symbol.toStringTag](): string {
    return 'Blob'
  }
  slice(start: number, end: number): JsdomBlob {
    return new JsdomBlob(this.bytes.subarray(start, end))
  }
}

class JsdomFileReader {
  result: ArrayBuffer | null = null
  error = null
  onload: () => void = () => {}
  readAsArrayBuffer(blob: JsdomBlob): void {
    this.result = foreignBuffer(blob.bytes)
    queueMicrotask(() => this.onload())
  }
}

/** Returns a URL of another realm: same members and tag, different class. */
const foreignUrl = (href: string): URL =>
  ({ href, protocol: new URL(href).protocol, [Symbol.toStringTag]: 'URL' }) as never

/** Returns a stream of another realm. Its chunks are from that realm, too. */
function foreignStream(bytes: Uint8Array): ReadableStream<Uint8Array> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 1000)
        controller.enqueue(foreignBytes(bytes.subarray(at, at + 1000)))
      controller.close()
    },
  })
  return { getReader: () => stream.getReader(), [Symbol.toStringTag]: 'ReadableStream' } as never
}

afterEach(() => void vi.unstubAllGlobals())

test.each(['h264.mp4', 'vp8.webm', 'picture.png'])(
  'a video in values of another realm: %s',
  async (name) => {
    vi.stubGlobal('FileReader', JsdomFileReader)
    const bytes = readFileSync(media(name))
    const sources: Record<string, VideoSource> = {
      Uint8Array: foreignBytes(bytes),
      ArrayBuffer: foreignBuffer(bytes),
      Blob: new JsdomBlob(bytes) as never,
      URL: foreignUrl(new URL(`media/${name}`, import.meta.url).href),
      stream: foreignStream(bytes),
    }
    for (const [kind, source] of Object.entries(sources)) {
      const { count, sha256 } = await hashesOf(await openVideo(source))
      expect({ kind, count, sha256 }).toEqual({
        kind,
        count: expected[name]!.count,
        sha256: expected[name]!.sha256,
      })
    }
  },
)

test('a checkpoint, frames and a snapshot in values of another realm', {
  tags: 'slow',
}, async () => {
  vi.stubGlobal('FileReader', JsdomFileReader)
  const path = goldenUrl('mu.npz')
  const bytes = readFileSync(path)
  const model = await TRecViT.load(path, { device: 'wasm' })
  const [height, width] = model.config.imageSize
  const values = Uint8Array.from({ length: height * width * 3 }, (_, i) => i % 251)
  const plain: NdArray = { data: values, shape: [height, width, 3] }
  const logits = async (model: TRecViT, frame: NdArray) => [
    ...(await model.stream().push(frame)).logits.data,
  ]
  const want = await logits(model, plain)

  for (const source of [
    foreignBytes(bytes),
    foreignBuffer(bytes),
    new JsdomBlob(bytes) as never,
    foreignUrl(path.href),
  ]) {
    const other = await TRecViT.load(source, { device: 'wasm' })
    expect(other.fingerprint).toBe(model.fingerprint)
    await other.dispose()
  }
  const floats = Float32Array.from(values, (value) => value / 255)
  expect(await logits(model, { ...plain, data: foreignBytes(values) })).toEqual(want)
  expect(await logits(model, { ...plain, data: new ForeignFloats(floats) })).toEqual(
    await logits(model, { ...plain, data: floats }),
  )
  const clip = { data: foreignBytes(values), shape: [1, height, width, 3] }
  expect([...(await model.forward(clip)).logits.data]).toEqual([
    ...(await model.forward({ ...clip, data: values })).logits.data,
  ])
  expect([...(await model.classify(clip)).logits.data]).toEqual(want)
  expect((await model.classify(foreignBytes(readFileSync(media('picture.png'))))).frames).toBe(1)

  const stream = model.stream()
  await stream.push(plain)
  const resumed = await model.resume(foreignBytes(await stream.snapshot()))
  expect(resumed.frame).toBe(1)
  await model.dispose()
})

test('other values are still refused', () => {
  for (const value of [
    null,
    undefined,
    'x',
    [1],
    { buffer: 1 },
    new DataView(new ArrayBuffer(4)),
    new Uint16Array(2),
    foreign('new Int8Array(1)'),
  ]) {
    expect([asBytes(value), asFloats(value), asUrl(value), isBlob(value), isStream(value)]).toEqual(
      [undefined, undefined, undefined, false, false],
    )
  }
  expect(asFloats(foreign('new Float32Array([1, 2, 3]).subarray(1)'))).toEqual(
    Float32Array.of(2, 3),
  )
})

test('the package loads and runs a model where classes of the web are missing', {
  tags: 'slow',
}, async () => {
  for (const name of ['TextEncoder', 'TextDecoder', 'ReadableStream', 'DecompressionStream'])
    vi.stubGlobal(name, undefined)
  vi.resetModules()
  const { TRecViT, openCheckpoint: open } = await import('../src/index.ts')
  const video = await import('../src/video/open.ts')
  const model = await TRecViT.load(goldenUrl('mu_deflate.npz'), { device: 'wasm' })
  const [height, width] = model.config.imageSize
  const stream = model.stream()
  await stream.push({ data: new Uint8Array(height * width * 3), shape: [height, width, 3] })
  expect((await model.resume(await stream.snapshot())).frame).toBe(1)
  await model.dispose()
  await (await open(new URL('../models/motion.safetensors', import.meta.url))).close()
  await expect(video.openVideo(media('picture.png'))).rejects.toThrow(
    'A video needs the global class ReadableStream, which jsdom lacks: ' +
      'set it to that of "node:stream/web"',
  )
  expect(openCheckpoint).not.toBe(open)
})
