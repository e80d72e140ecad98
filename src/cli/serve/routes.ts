/**
 * Routes of the models: metadata, readiness, inference, classification and streams.
 */
import { type Context, Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'
import { encodeInfer } from './answer.ts'
import { bodyParts, readBody } from './body.ts'
import { classify, readQuery } from './classify.ts'
import { compute } from './compute.ts'
import { Deadline } from './deadline.ts'
import { type Channel, follow } from './follow.ts'
import type { Metrics } from './metrics.ts'
import type { Sequences } from './sequences/sequences.ts'
import type { Served } from './served.ts'
import type { Slots } from './slots.ts'
import { tasks as ownTasks } from './tasks.ts'
import { JSON_LENGTH, outputNames } from './tensors.ts'
import type { Videos } from './videos.ts'

/** Connection data that the server passes with a request. */
export interface Bindings {
  /** The request as a Node object. */
  readonly incoming?: { readonly socket: { readonly remoteAddress?: string | undefined } }
  /**
   * Upgrades the request to a WebSocket. Then calls `run`, or `cancel` if the handshake fails.
   */
  readonly accept?: (socket: { run(channel: Channel): Promise<void>; cancel(): void }) => void
}

/** Hono environment of the routes. */
export interface ModelEnv {
  Bindings: Bindings
  Variables: { served: Served }
}

/** Dependencies of the routes. */
export interface ModelRoutes {
  /** Models by name. */
  readonly models: ReadonlyMap<string, Served>
  readonly maxBody: number
  readonly maxStreams: number
  readonly timeout: number
  readonly closing: AbortSignal
  readonly metrics: Metrics
  readonly streams: Slots
  readonly requests: Slots
  readonly videos: Videos
  readonly sequences: Sequences
}

/** The only version of each model. */
const VERSION = '1'
/** Largest number of requests that wait for a slot. */
const MAX_WAITING = 256
/** Bytes of a body that is parsed on the event loop. 64 KB of JSON take a millisecond. */
const SMALL = 1 << 16

/** Paths of a model, without and with a version. */
export const MODEL_PATHS = ['/v2/models/:name', '/v2/models/:name/versions/:version'] as const

/** Message for requests during shutdown. */
export const SHUTDOWN = 'The server is being shut down'

function refuse(status: 404 | 415 | 426 | 503, message: string): never {
  throw new HTTPException(status, { message })
}

export function modelRoutes(server: ModelRoutes): Hono<ModelEnv> {
  const { models, maxBody, maxStreams, timeout, closing, metrics, streams, requests } = server
  const seconds = timeout / 1000
  const routes = new Hono<ModelEnv>()

  routes.use(async (c, next) => {
    const { name = '', version = VERSION } = c.req.param() as Record<string, string>
    const notFound = (what: string, got: string, has: readonly string[]) =>
      refuse(404, `There is no ${what} ${quote(got)}; this server has ${has.map(quote).join(', ')}`)
    const served = models.get(name) ?? notFound('model', name, [...models.keys()])
    if (version !== VERSION) notFound(`version of ${quote(name)}`, version, [VERSION])
    c.set('served', served)
    await next()
  })

  routes.get('/', (c) => {
    const { name, shared } = c.var.served
    const { imageSize, numClasses } = shared.model.config
    return c.json({
      name,
      platform: 'trecvit',
      inputs: [{ name: 'frames', datatype: 'UINT8', shape: [-1, -1, ...imageSize, 3] }],
      outputs: outputNames.map((output) =>
        output === 'labels'
          ? { name: output, datatype: 'BYTES', shape: [-1, -1] }
          : { name: output, datatype: 'FP32', shape: [-1, numClasses] },
      ),
    })
  })

  routes.get('/ready', async (c) => {
    const { name, health } = c.var.served
    const error = closing.aborted ? SHUTDOWN : await health.check()
    if (error !== null) return c.json({ name, ready: false, error }, 503)
    return c.json({ name, ready: true })
  })

  routes.post('/infer', (c) => {
    const type = typeOf(c)
    if (isVideo(type)) {
      refuse(415, `"Content-Type" expected tensors, got ${quote(type)}; send it to "classify"`)
    }
    return inTurn(c, async (deadline) => {
      const { name, shared } = c.var.served
      const { model, tasks = ownTasks } = shared
      const body = await deadline.unless(
        readBody(c.req.raw, maxBody, deadline.signal),
        408,
        `The body was not received within ${seconds} s`,
      )
      const { parse } = body.length <= SMALL ? ownTasks : tasks
      const jsonHeader = c.req.header(JSON_LENGTH)
      const request = await parse({ body, jsonLength: jsonHeader, config: model.config })
      const { outputs, parameters } = await deadline.unless(
        compute(server, c.var.served, request, deadline.signal),
        504,
        `The answer takes longer than ${seconds} s; ` +
          'send fewer frames at once, or start the server with a larger "--timeout"',
      )
      const { body: encoded, jsonLength } = encodeInfer(name, request.id, outputs, parameters)
      if (jsonLength === null) return c.body(encoded, 200, { 'Content-Type': 'application/json' })
      return c.body(encoded, 200, {
        'Content-Type': 'application/octet-stream',
        [JSON_LENGTH]: String(jsonLength),
      })
    })
  })

  routes.post('/classify', (c) => {
    const type = typeOf(c)
    if (!isVideo(type) && type !== 'application/octet-stream')
      refuse(415, `"Content-Type" expected "video/mp4" or another of "video/*", got ${quote(type)}`)
    const { name, shared, health } = c.var.served
    const { model } = shared
    const { imageSize, numClasses } = model.config
    const { topK, sampling } = readQuery(c.req.query(), numClasses)
    return inTurn(c, async (deadline) => {
      const { signal } = deadline
      const bytes = bodyParts(c.req.raw, maxBody, signal)
      const parts = server.videos.decode(bytes, { imageSize, sampling }, signal)
      const answer = await deadline.unless(
        classify(model, parts, topK, async (work) => {
          const result = await health.watch(work, signal)
          metrics.inferred(name, 1)
          return result
        }),
        504,
        `The video was not received and answered within ${seconds} s; ` +
          'send a shorter one or a "stride", or start the server with a larger "--timeout"',
      )
      return c.json({ model_name: name, ...answer })
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
    const { shared } = c.var.served
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

  /** Waits for a slot, then does the work within the timeout. */
  async function inTurn(
    c: Context<ModelEnv>,
    work: (deadline: Deadline) => Promise<Response>,
  ): Promise<Response> {
    using deadline = new Deadline(timeout, c.req.raw.signal)
    // Half of the time is reserved for the work.
    using slotDeadline = new Deadline(timeout / 2, c.req.raw.signal)
    if (requests.waiting >= MAX_WAITING) {
      refuse(503, `${MAX_WAITING} requests wait already; try again later`)
    }
    using _ = await slotDeadline.unless(
      requests.take(slotDeadline.signal),
      503,
      `No place became free within ${seconds / 2} s; ` +
        'try again later, or start the server with a larger "--max-streams"',
    )
    return await work(deadline)
  }
}

/** Returns the media type of the body without parameters. The default is a stream of bytes. */
function typeOf(c: Context): string {
  const [type = ''] = (c.req.header('Content-Type') ?? '').split(';')
  return type.trim().toLowerCase() || 'application/octet-stream'
}

function isVideo(type: string): boolean {
  return /^(video|image)\/./.test(type)
}
