/** A server with the tiny model, without the command line. */
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type Bindings, createApp, type ServeOptions } from '../src/cli/serve/app.ts'
import { MemoryStore } from '../src/cli/serve/sequences/memoryStore.ts'
import { Sequences, type SequencesOptions } from '../src/cli/serve/sequences/sequences.ts'
import { openVideos, type Videos } from '../src/cli/serve/videos.ts'
import { type FrameAnswer, TRecViT } from '../src/index.ts'
import { file, folder, tinyNpz } from './commandLine.ts'

/** Bytes of a frame of the tiny model, [16,16,3]. */
export const FRAME = 768

/** Path of the inference route. */
export const infer = '/v2/models/tiny/infer'

/** Returns a file of test/media. */
export const media = (name: string): Buffer =>
  readFileSync(fileURLToPath(new URL(`media/${name}`, import.meta.url)))

/** The tiny model. Set before the tests run. */
export let model: TRecViT

/** Unhandled errors. There must be none after each test. */
export const unexpected: unknown[] = []

/** Decodes the videos of requests on threads. Set before the tests run. */
export let videos: Videos

/** Opens them for the tests of a file, and expects no unhandled error. Once in each file. */
export function useModel(): void {
  beforeAll(async () => {
    videos = openVideos(4, 'wasm', (error) => unexpected.push(error))
    model = await TRecViT.load(file('tiny.npz', tinyNpz()), {
      device: 'wasm',
      deterministic: true,
      labels: ['one', 'two', 'three'],
    })
  })
  afterAll(async () => {
    await videos.end()
    await model.dispose()
    rmSync(folder, { recursive: true })
  })
  afterEach(() => expect(unexpected.splice(0)).toEqual([]))
}

/** Returns streams with ids in memory. */
export function sequencesOf(options: Partial<SequencesOptions> = {}): Sequences {
  const onError = (error: unknown): void => void unexpected.push(error)
  return new Sequences({ store: new MemoryStore(4), timeout: 1000, onError, ...options })
}

/** Returns its routes. */
export function appOf(options: Partial<ServeOptions> = {}): Hono<{ Bindings: Bindings }> {
  return createApp({
    models: new Map([['tiny', model]]),
    videos,
    sequences: sequencesOf(),
    version: '1.2.3',
    maxBody: 1e6,
    maxStreams: 4,
    timeout: 10_000,
    origins: [],
    page: null,
    closing: new AbortController().signal,
    onError: (error) => unexpected.push(error),
    ...options,
  })
}

/** Returns a request with this body: bytes and text unchanged, other values as JSON. */
export function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    body:
      body instanceof Uint8Array
        ? body.slice()
        : typeof body === 'string'
          ? body
          : JSON.stringify(body),
    headers,
  }
}

/** Returns the JSON of an inference request. */
export function request(
  data: unknown,
  shape: unknown = [1, 1, 16, 16, 3],
  rest: object = {},
  datatype: unknown = 'UINT8',
): { inputs: object[] } {
  return { inputs: [{ name: 'frames', shape, datatype, data }], ...rest }
}

/** Returns the library's result after the last of these frames [t,16,16,3]. */
export async function expected(
  frames: Uint8Array | Float32Array,
): Promise<{ logits: number[]; probs: number[]; labels: (string | null)[] }> {
  const stream = model.stream({ average: 'all', topK: 3 })
  let last: FrameAnswer | undefined
  for (let at = 0; at < frames.length; at += FRAME)
    last = await stream.push({ data: frames.subarray(at, at + FRAME), shape: [16, 16, 3] })
  await stream.dispose()
  return {
    logits: [...last!.logits.data],
    probs: [...last!.probs.data],
    labels: last!.top.map(({ label }) => label),
  }
}

/** Returns the outputs of a response by name. */
export function outputsOf({ outputs }: Record<string, any>): Record<string, unknown> {
  return Object.fromEntries(
    outputs.map(({ name, data }: { name: string; data: unknown }) => [name, data]),
  )
}

/** Sends a request. Returns status and JSON of the response. */
export async function requestJson(
  app: ReturnType<typeof appOf>,
  path: string,
  init?: RequestInit,
): Promise<Record<string, any>> {
  const response = await app.request(path, init)
  return { status: response.status, ...(await response.json()) }
}
