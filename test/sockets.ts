/** A server on a real port, and clients of its streams. */
import { connect } from 'node:net'
import type { Hono } from 'hono'
import { afterEach, expect } from 'vitest'
import { WebSocket } from 'ws'
import type { Bindings, ServeOptions } from '../src/cli/serve/app.ts'
import { type Listening, listen } from '../src/cli/serve/listen.ts'
import { noise } from './commandLine.ts'
import {
  appOf,
  expected,
  FRAME,
  infer,
  outputsOf,
  post,
  request,
  unexpected,
  useModel,
} from './serving.ts'

let server: Listening | undefined

/** Host and port of the server. */
export let base: string

/** Opens the model, and ends the server after each test. Once in each file. */
export function useServer(): void {
  useModel()
  afterEach(async () => {
    await server?.close()
    server = undefined
  })
}

/** Serves the tiny model. The server ends with the test. */
export function start(options: Partial<ServeOptions> = {}): Promise<Listening> {
  const limits = { maxBody: 1e6, maxStreams: 4, timeout: 10_000, ...options }
  return serve(appOf(limits), limits)
}

/** Serves these routes. The server ends with the test, or before. */
export async function serve(
  app: Hono<{ Bindings: Bindings }>,
  limits: { readonly maxBody: number; readonly timeout: number },
): Promise<Listening> {
  const onError = (error: unknown) => void unexpected.push(error)
  const opened = await listen(app, { ...limits, host: '127.0.0.1', port: 0, onError })
  server = opened
  base = `127.0.0.1:${opened.address.port}`
  const close = () => {
    server = undefined
    return opened.close()
  }
  return { ...opened, close }
}

/** Sends raw bytes. Returns all bytes received until the server closes. */
export function raw(...parts: (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(base.split(':')[1]), '127.0.0.1')
    let got = ''
    socket.on('data', (data) => (got += data.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(got))
    for (const part of parts) socket.write(part)
  })
}

/** Asserts that the server returns the same result for a video as the library. */
export async function works(): Promise<void> {
  const frames = noise(FRAME, 9)
  const answer = await fetch(`http://${base}${infer}`, post(request([...frames])))
  expect(outputsOf((await answer.json()) as Record<string, any>)).toEqual(await expected(frames))
}

/** A client of a stream. */
export interface Client extends WebSocket {
  /** The close code. */
  readonly ended: Promise<number>
  lines(): Record<string, any>[]
  /** Resolves when this number of messages has arrived. */
  got(count: number): Promise<(string | Buffer)[]>
}

/** Connects a client. Returns it, or the status of the refusal. */
export async function tryOpen(
  headers: Record<string, string> = {},
): Promise<Client | { status: number; body: string; retry: string | undefined }> {
  const socket = new WebSocket(`ws://${base}/v2/models/tiny/stream`, { headers })
  const messages: (string | Buffer)[] = []
  socket.on('message', (data: Buffer, isBinary: boolean) =>
    messages.push(isBinary ? data : data.toString()),
  )
  const ended = new Promise<number>((resolve) => socket.on('close', resolve))
  return new Promise((resolve) => {
    socket.on('unexpected-response', (_, response) => {
      let body = ''
      response.on('data', (part) => (body += part))
      response.on('end', () =>
        resolve({ status: response.statusCode!, body, retry: response.headers['retry-after'] }),
      )
    })
    socket.on('error', () => {})
    socket.on('open', () =>
      resolve(
        Object.assign(socket, {
          ended,
          lines: () =>
            messages
              .filter((message) => typeof message === 'string')
              .map((line) => JSON.parse(line)),
          got: async (count: number) => {
            while (messages.length < count && socket.readyState === socket.OPEN)
              await new Promise((resolve) => setTimeout(resolve, 2))
            return messages
          },
        }),
      ),
    )
  })
}

/** Connects a client. */
export async function open(): Promise<Client> {
  const client = await tryOpen()
  if ('status' in client) throw new Error(client.body)
  return client
}

/** Waits up to some seconds for a condition. Returns whether it became true. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    if (await holds()) return true
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return false
}
