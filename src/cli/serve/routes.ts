/**
 * The routes of one model, below its address: metadata, readiness, requests to infer, streams.
 */
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'
import { encodeInfer } from './answer.ts'
import { readBody } from './body.ts'
import { Deadline } from './deadline.ts'
import { type Channel, follow, type Shared } from './follow.ts'
import type { Health } from './health.ts'
import { infer } from './infer.ts'
import type { Metrics } from './metrics.ts'
import type { Slots } from './slots.ts'
import { tasks as ownTasks } from './tasks.ts'
import { type InferRequest, JSON_LENGTH, outputNames } from './tensors.ts'

/** What a server hands to the routes beside a request. */
export interface Bindings {
  /**
   * Makes a WebSocket of the request. Then `run` is called with it, or `cancel` if the handshake
   * fails.
   */
  readonly accept?: (socket: { run(channel: Channel): Promise<void>; cancel(): void }) => void
}

/** What the routes need of the server. */
export interface ModelRoutes {
  readonly name: string
  readonly maxBody: number
  readonly maxStreams: number
  readonly timeout: number
  readonly closing: AbortSignal
  readonly shared: Shared
  readonly health: Health
  readonly metrics: Metrics
  readonly streams: Slots
  readonly requests: Slots
}

/** The only version of a model. */
const VERSION = '1'
/** Requests that wait for a place. */
const MAX_WAITING = 256
/** Bytes of a body that is parsed at once: 64 KB of JSON take a millisecond. */
const SMALL = 1 << 16

/** The addresses of a model, without and with its version. */
export const MODEL_PATHS = ['/v2/models/:name', '/v2/models/:name/versions/:version'] as const

/** Says why the server takes nothing new. */
export const SHUTDOWN = 'The server is being shut down'

function refuse(status: 404 | 426 | 503, message: string): never {
  throw new HTTPException(status, { message })
}

export function modelRoutes(server: ModelRoutes): Hono<{ Bindings: Bindings }> {
  const { name, maxBody, maxStreams, timeout, closing, shared, health, metrics } = server
  const { streams, requests } = server
  const { model, tasks = ownTasks } = shared
  const { imageSize, numClasses } = model.config
  const routes = new Hono<{ Bindings: Bindings }>()

  routes.use(async (c, next) => {
    const { name: wanted = '', version = VERSION } = c.req.param() as Record<string, string>
    const lacks = (what: string, got: string, has: string) =>
      refuse(404, `There is no ${what} ${quote(got)}; this server has "${has}"`)
    if (wanted !== name) lacks('model', wanted, name)
    if (version !== VERSION) lacks(`version of "${name}"`, version, VERSION)
    await next()
  })

  routes.get('/', (c) =>
    c.json({
      name,
      platform: 'trecvit',
      inputs: [{ name: 'frames', datatype: 'UINT8', shape: [-1, -1, ...imageSize, 3] }],
      outputs: outputNames.map((output) =>
        output === 'labels'
          ? { name: output, datatype: 'BYTES', shape: [-1, -1] }
          : { name: output, datatype: 'FP32', shape: [-1, numClasses] },
      ),
    }),
  )

  routes.get('/ready', async (c) => {
    const error = closing.aborted ? SHUTDOWN : await health.check()
    if (error !== null) return c.json({ name, ready: false, error }, 503)
    return c.json({ name, ready: true })
  })

  routes.post('/infer', async (c) => {
    const seconds = timeout / 1000
    using deadline = new Deadline(timeout, c.req.raw.signal)
    // Half the time is left for the rest.
    using patience = new Deadline(timeout / 2, c.req.raw.signal)
    if (requests.waiting >= MAX_WAITING) {
      refuse(503, `${MAX_WAITING} requests wait already; try again later`)
    }
    using _ = await patience.unless(
      requests.take(patience.signal),
      503,
      `No place became free within ${seconds / 2} s; ` +
        'try again later, or start the server with a larger "--max-streams"',
    )
    const body = await deadline.unless(
      readBody(c.req.raw, maxBody, deadline.signal),
      408,
      `The body expected to be there within ${seconds} s, but was not`,
    )
    const { parse } = body.length <= SMALL ? ownTasks : tasks
    const jsonHeader = c.req.header(JSON_LENGTH)
    const request = await parse({ body, jsonLength: jsonHeader, config: model.config })
    const answer = await deadline.unless(
      compute(request, deadline.signal),
      504,
      `The answer takes longer than ${seconds} s; ` +
        'send fewer frames at once, or start the server with a larger "--timeout"',
    )
    const { body: encoded, jsonLength } = encodeInfer(name, request.id, answer)
    if (jsonLength === null) return c.body(encoded, 200, { 'Content-Type': 'application/json' })
    return c.body(encoded, 200, {
      'Content-Type': 'application/octet-stream',
      [JSON_LENGTH]: String(jsonLength),
    })
  })

  routes.get('/stream', (c) => {
    const accept = c.env?.accept
    if (!accept) refuse(426, `${c.req.path} expected a WebSocket`)
    if (closing.aborted) refuse(503, SHUTDOWN)
    const slot =
      streams.tryTake() ??
      refuse(
        503,
        `All ${maxStreams} streams are in use; ` +
          'try again later, or start the server with a larger "--max-streams"',
      )
    accept({
      run: async (channel) => {
        using _ = slot
        await follow(shared, channel)
      },
      cancel: () => slot[Symbol.dispose](),
    })
    return c.body(null, 200, { Upgrade: 'websocket' })
  })
  return routes

  function compute(request: InferRequest, signal: AbortSignal) {
    return health.watch(
      infer(model, request, signal, (count) => {
        health.answered()
        metrics.inferred(count)
      }),
      signal,
    )
  }
}
