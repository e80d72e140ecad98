/**
 * The routes: Open Inference Protocol v2 for one model, a stream of frames beside it, and the page.
 */
import { Hono, type Context, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { TrecvitError } from '../../error.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { readBody } from './body.ts'
import { Deadline } from './deadline.ts'
import { follow, type Channel } from './follow.ts'
import { infer } from './infer.ts'
import { allowOrigins } from './origins.ts'
import { Slots } from './slots.ts'
import { encodeInfer, JSON_LENGTH, outputNames, parseInfer } from './tensors.ts'

/** What is served, and within which limits. */
export interface ServeOptions {
  readonly model: TRecViT
  /** As it stands in addresses. */
  readonly name: string
  /** Of the package. */
  readonly version: string
  /** Bytes of a body, and of a message of a stream. */
  readonly maxBody: number
  /** Streams at once, and as many requests to infer: more of the former are refused, of the latter they wait. */
  readonly maxStreams: number
  /** Milliseconds from a request to its answer. */
  readonly timeout: number
  /** Origins of pages beside the server's own that may use it. */
  readonly origins: readonly string[]
  /** What answers GET and HEAD outside of /v2, or null: then "/" lists the routes. */
  readonly page: MiddlewareHandler | null
  /** Aborted when nothing new may be begun. */
  readonly closing: AbortSignal
  /** Hears of what nobody foresaw. */
  readonly onError: (error: unknown) => void
  /** Hears of every answer, in a line. */
  readonly onAnswer?: (line: string) => void
}

/** What a server hands to the routes beside a request. */
export interface Bindings {
  /** Makes a WebSocket of the request; `run` is called with it, or `cancel` if the handshake fails. */
  readonly accept?: (socket: { run(channel: Channel): Promise<void>; cancel(): void }) => void
}

/** Seconds after which a client that was refused may try again. */
const RETRY_AFTER = 1

export function createApp(options: ServeOptions): Hono<{ Bindings: Bindings }> {
  const { model, name, version, maxBody, maxStreams, timeout, closing, page } = options
  const { imageSize, numClasses } = model.config
  const streams = new Slots(maxStreams)
  const requests = new Slots(maxStreams)
  const shared = { model, maxFrame: maxBody }
  closing.addEventListener('abort', () => requests.close(new HTTPException(503, { message: 'The server is being shut down' })))

  const app = new Hono<{ Bindings: Bindings }>()
  app.use(async (c, next) => {
    const start = performance.now()
    await next()
    options.onAnswer?.(`${c.req.method} ${c.req.path} ${c.res.status} ${(performance.now() - start).toFixed(0)} ms`)
    // With these a page may share memory between threads.
    c.header('Cross-Origin-Opener-Policy', 'same-origin')
    c.header('Cross-Origin-Embedder-Policy', 'require-corp')
    c.header('X-Content-Type-Options', 'nosniff')
    if (closing.aborted) c.header('Connection', 'close')
  })
  app.use(methodNotAllowed({
    app, onMethodNotAllowed: (c, methods) => c.json({ error: `${c.req.path} expected ${methods.join(' or ')}, got ${c.req.method}` }, 405, { Allow: methods.join(', ') }),
  }))
  app.use('/v2/*', allowOrigins(options.origins))
  app.onError((error, c) => refuse(c, error))
  app.notFound((c) => c.json({ error: `There is nothing at ${c.req.path}; "/v2" and "/v2/models/${name}" tell what there is` }, 404))

  app.get('/v2', (c) => c.json({ name: 'trecvit', version, extensions: ['binary_tensor_data'] }))
  app.get('/v2/health/live', (c) => c.json({ live: true }))
  app.get('/v2/health/ready', (c) => c.json({ ready: !closing.aborted }, closing.aborted ? 503 : 200))

  app.use('/v2/models/:name/*', async (c, next) => {
    if (c.req.param('name') !== name) throw new HTTPException(404, { message: `There is no model ${JSON.stringify(c.req.param('name'))}; this server has "${name}"` })
    await next()
  })
  app.get('/v2/models/:name', (c) => c.json({
    name,
    platform: 'trecvit',
    inputs: [{ name: 'frames', datatype: 'UINT8', shape: [-1, -1, ...imageSize, 3] }],
    outputs: outputNames.map((output) => ({ name: output, datatype: output === 'labels' ? 'BYTES' : 'FP32', shape: [-1, output === 'labels' ? -1 : numClasses] })),
  }))
  app.get('/v2/models/:name/ready', (c) => c.json({ name, ready: !closing.aborted }, closing.aborted ? 503 : 200))

  app.post('/v2/models/:name/infer', async (c) => {
    const seconds = timeout / 1000
    using deadline = new Deadline(timeout, c.req.raw.signal)
    // Half the time is left for the rest.
    using patience = new Deadline(timeout / 2, c.req.raw.signal)
    using _ = await patience.unless(requests.take(patience.signal), 503, `No place became free within ${seconds / 2} s; try again later, or start the server with a larger "--max-streams"`)
    const body = await deadline.unless(readBody(c.req.raw, maxBody, deadline.signal), 408, `The body expected to be there within ${seconds} s, but was not`)
    const request = parseInfer(body, c.req.header(JSON_LENGTH), model.config)
    const answer = await deadline.unless(infer(model, request, deadline.signal), 504, `The answer takes longer than ${seconds} s; send fewer frames at once, or start the server with a larger "--timeout"`).catch((error: unknown) => {
      // Not what was sent: a device that was lost, memory that is used up.
      throw error instanceof TrecvitError ? new HTTPException(500, { message: error.message }) : error
    })
    const { body: encoded, jsonLength } = encodeInfer(name, request.id, answer)
    if (jsonLength === null) return c.body(encoded, 200, { 'Content-Type': 'application/json' })
    return c.body(encoded, 200, { 'Content-Type': 'application/octet-stream', [JSON_LENGTH]: String(jsonLength) })
  })

  app.get('/v2/models/:name/stream', (c) => {
    const accept = c.env?.accept
    if (!accept) throw new HTTPException(426, { message: `${c.req.path} expected a WebSocket` })
    const slot = closing.aborted ? null : streams.tryTake()
    if (!slot) throw new HTTPException(503, { message: closing.aborted ? 'The server is being shut down' : `All ${maxStreams} streams are in use; try again later, or start the server with a larger "--max-streams"` })
    accept({
      run: async (channel) => {
        using _ = slot
        await follow(shared, channel)
      },
      cancel: () => slot[Symbol.dispose](),
    })
    return c.body(null)
  })

  // Not as a route of GET, which every path would then seem to allow.
  if (page) app.use(page)
  else app.get('/', (c) => c.text(`trecvit ${version}, model ${name}; the demo page is not built into this package

GET  /v2                         what this server is
GET  /v2/health/live, /ready     whether it works
GET  /v2/models/${name}          inputs and outputs
POST /v2/models/${name}/infer    frames in, classes out (Open Inference Protocol v2)
GET  /v2/models/${name}/stream   a WebSocket: frames in, a line of JSON for each
`))
  return app

  function refuse(c: Context, error: unknown): Response {
    if (error instanceof TrecvitError) return c.json({ error: error.message }, 400)
    if (error instanceof HTTPException) return c.json({ error: error.message }, error.status as ContentfulStatusCode, error.status === 503 ? { 'Retry-After': String(RETRY_AFTER) } : {})
    // Nobody is there any more to hear of it.
    if (!c.req.raw.signal.aborted) options.onError(error)
    return c.json({ error: 'Something unexpected went wrong; the server has said more on its standard error' }, 500)
  }
}
