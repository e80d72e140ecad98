/**
 * The server's routes: Open Inference Protocol v2 for one model, a stream of frames beside it,
 * metrics, and the page.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { matchedRoutes } from 'hono/route'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { TrecvitError } from '../../base/error.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { EngineError, Health } from './health.ts'
import { allowHosts } from './hosts.ts'
import { Metrics } from './metrics.ts'
import { allowOrigins } from './origins.ts'
import { type Bindings, MODEL_PATHS, modelRoutes, SHUTDOWN } from './routes.ts'
import { Slots } from './slots.ts'
import { UNEXPECTED } from './socket.ts'
import { tasks as ownTasks, type Tasks } from './tasks.ts'
import { requireToken } from './token.ts'
import { weightsRoutes } from './weights.ts'

export type { Bindings } from './routes.ts'

/** What is served, and within which limits. */
export interface ServeOptions {
  readonly model: TRecViT
  /** As it stands in addresses. */
  readonly name: string
  /** Of the package. */
  readonly version: string
  /** Bytes of a body, and of a message of a stream. */
  readonly maxBody: number
  /**
   * Streams at once, and as many requests to infer: more of the former are refused, of the latter
   * they wait.
   */
  readonly maxStreams: number
  /** Milliseconds from a request to its answer. */
  readonly timeout: number
  /** The address listened on; "127.0.0.1" by default. */
  readonly address?: string
  /** Host names that it answers to, beside that address and loopback names. */
  readonly hosts?: readonly string[]
  /** Bearer token that requests to /v2 and /metrics need; none by default. */
  readonly token?: string
  /** Decoding, resizing and parsing of what is large; on the calling thread by default. */
  readonly tasks?: Tasks
  /** Tasks that wait for a thread. */
  readonly waitingTasks?: () => number
  /** The metrics tell about the process, too. */
  readonly processMetrics?: boolean
  /** Origins of pages beside the server's own that may use it. */
  readonly origins: readonly string[]
  /** What answers GET and HEAD outside of /v2, or null: then "/" lists the routes. */
  readonly page: MiddlewareHandler | null
  /** Aborted when nothing new may be begun. */
  readonly closing: AbortSignal
  /** Called with unhandled errors. */
  readonly onError: (error: unknown) => void
  /** Called with a line about every answer. */
  readonly onAnswer?: (line: string) => void
}

/** What tells a client how to go on, by status: when to try again, in seconds; what to send. */
const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  401: { 'WWW-Authenticate': 'Bearer' },
  503: { 'Retry-After': '1' },
}

/** The path of the route that answers, with its parameters by name; middleware is none. */
function routeOf(c: Context): string {
  return matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path ?? '*'
}

export function createApp(options: ServeOptions): Hono<{ Bindings: Bindings }> {
  const { model, name, version, maxBody, maxStreams, timeout, closing, page } = options
  const { tasks = ownTasks, waitingTasks = () => 0 } = options
  const streams = new Slots(maxStreams)
  const requests = new Slots(maxStreams)
  const health = new Health(model)
  const metrics = new Metrics(
    () => ({
      device: model.device,
      losses: model.health.losses,
      streams: streams.taken,
      queues: { requests: requests.waiting, tasks: waitingTasks() },
    }),
    options.processMetrics ?? false,
  )
  const onFrame = (seconds: number) => metrics.streamed(seconds)
  const shared = { model, maxFrame: maxBody, tasks, health, onFrame }
  closing.addEventListener('abort', () => {
    requests.close(new HTTPException(503, { message: SHUTDOWN }))
  })

  const app = new Hono<{ Bindings: Bindings }>()
  app.use(async (c, next) => {
    const start = performance.now()
    await next()
    const milliseconds = performance.now() - start
    const { method, path } = c.req
    // A WebSocket is answered by the server below.
    const status = c.res.headers.has('Upgrade') ? 101 : c.res.status
    metrics.request(method, routeOf(c), status, milliseconds / 1000)
    options.onAnswer?.(`${method} ${path} ${status} ${milliseconds.toFixed(0)} ms`)
    // With these a page may share memory between threads.
    c.header('Cross-Origin-Opener-Policy', 'same-origin')
    c.header('Cross-Origin-Embedder-Policy', 'require-corp')
    c.header('X-Content-Type-Options', 'nosniff')
    if (closing.aborted) c.header('Connection', 'close')
  })
  app.use(allowHosts(options.address ?? '127.0.0.1', options.hosts ?? []))
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) =>
        c.json(
          { error: `${c.req.path} expected ${methods.join(' or ')}, got ${c.req.method}` },
          405,
          { Allow: methods.join(', ') },
        ),
    }),
  )
  for (const path of ['/v2/*', '/metrics']) {
    app.use(path, allowOrigins(options.origins))
    if (options.token !== undefined) app.use(path, requireToken(options.token))
  }
  app.onError((error, c) => refuse(c, error))
  app.notFound((c) =>
    c.json(
      {
        error:
          `There is nothing at ${c.req.path}; ` +
          `"/v2" and "/v2/models/${name}" tell what there is`,
      },
      404,
    ),
  )

  app.get('/v2', (c) => c.json({ name: 'trecvit', version, extensions: ['binary_tensor_data'] }))
  app.get('/v2/health/live', (c) => c.json({ live: true }))
  app.get('/v2/health/ready', async (c) => {
    const error = closing.aborted ? SHUTDOWN : await health.check()
    return error === null ? c.json({ ready: true }) : c.json({ ready: false, error }, 503)
  })
  app.get('/metrics', async (c) => {
    const { text, type } = await metrics.text()
    return c.body(text, 200, { 'Content-Type': type })
  })
  const limits = { maxBody, maxStreams, timeout }
  const served = { name, ...limits, closing, shared, health, metrics, streams, requests }
  for (const path of MODEL_PATHS) app.route(path, modelRoutes(served))
  app.route('/weights', weightsRoutes())

  // Not as a route of GET, which every path would then seem to allow.
  if (page) app.use(page)
  else
    app.get('/', (c) =>
      c.text(`trecvit ${version}, model ${name}; the demo page is not built into this package

GET  /v2                         what this server is
GET  /v2/health/live, /ready     whether it works
GET  /metrics                    counts and latencies, for Prometheus
GET  /weights                    downloaded weights, for the page
GET  /v2/models/${name}          inputs and outputs
POST /v2/models/${name}/infer    frames in, classes out (Open Inference Protocol v2)
GET  /v2/models/${name}/stream   a WebSocket: frames in, a line of JSON for each
`),
    )
  return app

  function refuse(c: Context, error: unknown): Response {
    if (error instanceof TrecvitError) return c.json({ error: error.message }, 400)
    if (error instanceof EngineError) return c.json({ error: error.message }, 503, HEADERS[503])
    if (error instanceof HTTPException) {
      const status = error.status as ContentfulStatusCode
      return c.json({ error: error.message }, status, HEADERS[status] ?? {})
    }
    // Nobody is there any more to hear of it.
    if (!c.req.raw.signal.aborted) options.onError(error)
    return c.json({ error: UNEXPECTED }, 500)
  }
}
