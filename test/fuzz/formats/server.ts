/** Inference requests and messages of a stream, as a client sends them to the server. */

import { TrecvitError } from '../../../src/base/error.ts'
import { createApp } from '../../../src/cli/serve/app.ts'
import type { Channel } from '../../../src/cli/serve/follow.ts'
import { MemoryStore } from '../../../src/cli/serve/sequences/memoryStore.ts'
import { Sequences } from '../../../src/cli/serve/sequences/sequences.ts'
import { openVideos } from '../../../src/cli/serve/videos.ts'
import type { Format } from '../format.ts'
import { frameOf, model } from '../model.ts'
import { bytes, copy, type Group, group, json, type Part, write } from '../parts.ts'
import { jpegs, pngs } from './pictures.ts'
import { snapshot } from './snapshot.ts'

const unexpected: unknown[] = []
const app = createApp({
  models: new Map([['tiny', await model()]]),
  version: '1.2.3',
  maxBody: 2e6,
  maxStreams: 4,
  timeout: 10_000,
  origins: [],
  page: null,
  videos: openVideos(1, 'wasm', (error) => unexpected.push(error)),
  sequences: new Sequences({
    store: new MemoryStore(4),
    timeout: 1000,
    onError: (error) => unexpected.push(error),
  }),
  closing: new AbortController().signal,
  onError: (error) => unexpected.push(error),
})
const address = 'http://localhost/v2/models/tiny'

/** @throws unhandled errors of the server */
function check(): void {
  const [error] = unexpected.splice(0)
  if (error) throw error
}

const frame = () => bytes(frameOf(3).data)
const pixels = () => [...frameOf(3).data]
const inputs = (datatype: string, rest: object, shape: readonly number[] = [1, 1, 16, 16, 3]) => [
  { name: 'frames', shape, datatype, ...rest },
]
const rows = () => [
  [Array.from({ length: 16 }, () => Array.from({ length: 16 }, () => [0, 128, 255]))],
]

export const infer: Format = {
  name: 'infer',
  seeds: [
    () =>
      group('body', [
        json({
          id: 'x',
          inputs: inputs('UINT8', { data: pixels() }),
          parameters: { topK: 2 },
          outputs: [{ name: 'probs' }],
        }),
      ]),
    () => group('body', [json({ inputs: inputs('UINT8', { data: rows() }) })]),
    () =>
      group('body', [
        json({
          inputs: inputs('FP32', { data: pixels().map((value) => value / 255) }),
          parameters: { binary_data_output: true },
        }),
      ]),
    () =>
      group('body', [
        json({
          inputs: inputs('UINT8', { parameters: { binary_data_size: 1536 } }, [1, 2, 16, 16, 3]),
          outputs: [{ name: 'labels', parameters: { binary_data: true } }],
        }),
        frame(),
        frame(),
      ]),
    () =>
      group('body', [
        json({ inputs: inputs('FP32', { parameters: { binary_data_size: 3072 } }) }),
        bytes(new Uint8Array(3072)),
      ]),
  ],
  async open({ data, parts }, random) {
    const length = parts[0]?.data.length ?? 0
    const given = random.once(20)
      ? random.pick([0, -1, data.length + 1, 'x', '1e3', '', length - 1])
      : parts.length > 1
        ? length
        : undefined
    const headers: Record<string, string> =
      given === undefined ? {} : { 'Inference-Header-Content-Length': String(given) }
    const response = await app.fetch(
      new Request(`${address}/infer`, { method: 'POST', body: data.slice(), headers }),
    )
    check()
    if (response.status === 200) return void (await response.arrayBuffer())
    const { error } = (await response.json()) as { error: string }
    if (response.status >= 500 || response.status < 400)
      throw new Error(`The server answered ${response.status}: ${error}`)
    throw new TrecvitError(error)
  },
}

/** A stream of messages. Each part is one message. */
const stream =
  (opening: object, ...messages: readonly Part[]) =>
  (): Group =>
    group('messages', [json(opening), ...messages.map(copy)])
const fileOf = (format: Format): Part => bytes(write(format.seeds[0]!()).data)
const snapshotRequest = json({ snapshot: true })

export const messages: Format = {
  name: 'messages',
  seeds: [
    stream(
      { width: 16, height: 16, average: { frames: 4 }, topK: 2 },
      frame(),
      snapshotRequest,
      frame(),
    ),
    stream({ width: 16, height: 16, average: { halfLife: 8 } }, frame(), frame(), snapshotRequest),
    stream({}, fileOf(pngs), fileOf(jpegs)),
    stream({ resume: true, width: 16, height: 16 }, fileOf(snapshot), frame(), snapshotRequest),
  ],
  async open({ parts }, random) {
    let channel: ((channel: Channel) => Promise<void>) | undefined
    const headers = { host: 'localhost' }
    const response = await app.fetch(new Request(`${address}/stream`, { headers }), {
      accept: ({ run }) => (channel = run),
    })
    if (!channel)
      throw new Error(`The server answered ${response.status} instead of opening a stream`)
    let failure: unknown
    async function* read(): AsyncGenerator<string | Uint8Array> {
      for (const { part, data } of parts) {
        if (failure) throw failure
        const written = part.is === 'text' || part.is === 'json'
        const asText = random.once(30) ? !written : written
        yield asText ? new TextDecoder().decode(data) : data.slice()
      }
    }
    await channel({ messages: read(), send: async () => {}, fail: (why) => (failure = why) })
    check()
    if (failure) throw failure
  },
}
