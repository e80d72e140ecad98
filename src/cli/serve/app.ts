/**
 * Routes of the server: Open Inference Protocol v2, streams of frames, metrics, an OpenAPI
 * description, and the demo page.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { matchedRoutes } from 'hono/route'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { Health, UnavailableError } from './health.ts'
import { allowHosts } from './hosts.ts'
import { Metrics } from './metrics.ts'
import { listRoutes, openApi } from './openApi.ts'
import { allowOrigins } from './origins.ts'
import { type Bindings, MODEL_PATHS, modelRoutes, SHUTDOWN } from './routes.ts'
import type { Sequences } from './sequences/sequences.ts'
import type { Served } from './served.ts'
import { Slots } from './slots.ts'
import { UNEXPECTED } from './socket.ts'
import { tasks as ownTasks, type Tasks } from './tasks.ts'
import { requireToken } from './token.ts'
import type { Videos } from './videos.ts'
import { weightsRoutes } from './weights.ts'

export type { Bindings } from './routes.ts'

/** Content and limits of a server. */
export interface ServeOptions {
  /** Models by their names in URLs. */
  readonly models: ReadonlyMap<string, TRecViT>
  /** Version of the package. */
  readonly version: string
  /** Largest body of a request and largest message of a stream, in bytes. */
  readonly maxBody: number
  /**
   * Largest number of concurrent streams, and of concurrent inference requests. Further streams are
   * refused. Further requests wait.
   */
  readonly maxStreams: number
  /** Timeout of a request in milliseconds. */
  readonly timeout: number
  /** Address that the server listens on; "127.0.0.1" by default. */
  readonly address?: string
  /** Further host names that are accepted. `address` and loopback names always are. */
  readonly hosts?: readonly string[]
  /** Bearer token that requests to /v2 and /metrics need; none by default. */
  readonly token?: string
  /** Decodes, resizes and parses large inputs; on the calling thread by default. */
  readonly tasks?: Tasks
  /** Decodes the videos of requests. */
  readonly videos: Videos
  /** Streams with ids. */
  readonly sequences: Sequences
  /** Number of tasks that wait for a thread. */
  readonly waitingTasks?: () => number
  /** Whether the metrics include those of the process. */
  readonly processMetrics?: boolean
  /** Further origins whose pages may use the server. Its own origin always may. */
  readonly origins: readonly string[]
  /** Serves GET and HEAD outside of /v2. If null, "/" lists the routes. */
  readonly page: MiddlewareHandler | null
  /** Aborted when the server accepts no new work. */
  readonly closing: AbortSignal
  /** Called with unhandled errors. */
  readonly onError: (error: unknown) => void
  /** Called after every response. */
  readonly onAnswer?: (answer: Answered) => void
}

/** A response, for the access log. Without the query, which may contain a token. */
export interface Answered {
  readonly method: string
  /** Truncated to 1000 characters. */
  readonly path: string
  /** 101 for a WebSocket. */
  readonly status: number
  /** Time from the request to the response. */
  readonly milliseconds: number
  /** IP address of the client or of a proxy in front. Null if unknown. */
  readonly client: string | null
}

const MAX_PATH = 1000

/** Headers by status that tell a client when to retry (seconds) or what to send. */
const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  401: { 'WWW-Authenticate': 'Bearer' },
  503: { 'Retry-After': '1' },
}

/** Returns the path of the matched route, with parameters by name. Ignores middleware. */
function routeOf(c: Context): string {
  return matchedRoutes(c).findLast(({ method }) => method !== 'ALL')?.path ?? '*'
}

export function createApp(options: ServeOptions): Hono<{ Bindings: Bindings }> {
  const { version, maxBody, maxStreams, timeout, closing, page, videos, sequences } = options
  const { tasks = ownTasks, waitingTasks = () => 0 } = options
  const names = [...options.models.keys()]
  const streams = new Slots(maxStreams)
  const requests = new Slots(maxStreams)
  const metrics = new Metrics(
    () => ({
      models: [...options.models].map(
        ([
          name,
          {
            device,
            health: { losses },
          },
        ]) => {
          return { name, device, losses }
        },
      ),
      streams: streams.taken,
      queues: { requests: requests.waiting, tasks: waitingTasks() },
      sequences,
    }),
    options.processMetrics ?? false,
  )
  const models = new Map<string, Served>()
  for (const [name, model] of options.models) {
    const health = new Health(model)
    const onFrame = (seconds: number) => metrics.streamed(name, seconds)
    const shared = { model, name, sequences, maxFrame: maxBody, tasks, health, onFrame }
    models.set(name, { name, health, shared })
  }
  closing.addEventListener('abort', () => {
    requests.close(new HTTPException(503, { message: SHUTDOWN }))
  })

  const app = new Hono<{ Bindings: Bindings }>()
  app.use(async (c, next) => {
    const start = performance.now()
    await next()
    const milliseconds = performance.now() - start
    const { method, path } = c.req
    // A WebSocket handshake is answered by listen.ts.
    const status = c.res.headers.has('Upgrade') ? 101 : c.res.status
    metrics.request(method, routeOf(c), status, milliseconds / 1000)
    const client = c.env?.incoming?.socket.remoteAddress ?? null
    options.onAnswer?.({ method, path: path.slice(0, MAX_PATH), status, milliseconds, client })
    // With these headers the page is cross-origin isolated, so it can share memory between threads.
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
        error: `There is nothing at ${c.req.path}; "/openapi.json" lists the routes`,
      },
      404,
    ),
  )

  app.get('/v2', (c) => c.json({ name: 'trecvit', version, extensions: ['binary_tensor_data'] }))
  app.get('/v2/health/live', (c) => c.json({ live: true }))
  app.get('/v2/health/ready', async (c) => {
    const error = await whyNotReady()
    return error === null ? c.json({ ready: true }) : c.json({ ready: false, error }, 503)
  })
  app.get('/v2/models', (c) => c.json({ models: names }))
  // For load balancers and supervisors, which have no token. So the response has no reason.
  app.get('/healthz', async (c) => {
    const isReady = (await whyNotReady()) === null
    return c.text(isReady ? 'ok\n' : 'not ready\n', isReady ? 200 : 503)
  })
  const description = openApi({ version, names, token: options.token !== undefined })
  app.get('/openapi.json', (c) => c.json(description))
  app.get('/metrics', async (c) => {
    const { text, type } = await metrics.text()
    return c.body(text, 200, { 'Content-Type': type })
  })
  const limits = { maxBody, maxStreams, timeout }
  const served = { models, ...limits, closing, metrics, streams, requests, videos, sequences }
  for (const path of MODEL_PATHS) app.route(path, modelRoutes(served))
  app.route('/weights', weightsRoutes())

  // Not a GET route: every path would then report that it allows GET.
  if (page) app.use(page)
  else {
    const about = `trecvit ${version}; the demo page is not built into this package`
    app.get('/', (c) => c.text(`${about}\n\n${listRoutes(description, names)}\n`))
  }
  return app

  /** Returns why a model cannot compute, or null. */
  async function whyNotReady(): Promise<string | null> {
    if (closing.aborted) return SHUTDOWN
    const all = await Promise.all(
      [...models].map(async ([name, { health }]) => [name, await health.check()] as const),
    )
    const failed = all.filter(([, error]) => error !== null)
    if (failed.length === 0) return null
    if (names.length === 1) return failed[0]![1]
    return failed.map(([name, error]) => `${quote(name)}: ${error}`).join('; ')
  }

  function refuse(c: Context, error: unknown): Response {
    if (error instanceof TrecvitError) return c.json({ error: error.message }, 400)
    if (error instanceof UnavailableError)
      return c.json({ error: error.message }, 503, HEADERS[503])
    if (error instanceof HTTPException) {
      const status = error.status as ContentfulStatusCode
      return c.json({ error: error.message }, status, HEADERS[status] ?? {})
    }
    // If the client has disconnected, the error is not reported.
    if (!c.req.raw.signal.aborted) options.onError(error)
    return c.json({ error: UNEXPECTED }, 500)
  }
}
