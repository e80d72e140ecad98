/**
 * Listens on a port for HTTP and WebSockets. Shutdown is graceful: work under way is completed.
 */
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { WebSocketServer } from 'ws'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import type { Bindings } from './app.ts'
import { ReadAhead } from './readAhead.ts'
import { Socket } from './socket.ts'

/** Options for `listen`. */
export interface ListenOptions {
  readonly host: string
  /** 0 selects a free port. */
  readonly port: number
  /** Timeout in milliseconds of a request, of a message of a stream, and of sending a response. */
  readonly timeout: number
  /** Largest message of a stream in bytes. */
  readonly maxBody: number
  /** Called with unhandled errors. */
  readonly onError: (error: unknown) => void
}

/** A listening server. */
export interface Listening {
  readonly address: AddressInfo
  /** Refuses new requests, waits for those under way until the timeout, then closes connections. */
  close(): Promise<void>
}

/**
 * Largest number of connections. Further ones are dropped. A process can often open only 1024
 * files.
 */
const MAX_CONNECTIONS = 512
/** Timeout for the headers of a request, in milliseconds. */
const HEAD_TIMEOUT = 10_000
/** Memory for waiting messages of all streams, in messages of the largest size. */
const READ_AHEAD = 4
/** Milliseconds for sending a response after its timeout. */
const GRACE = 1000

/**
 * Starts a server.
 * @throws TrecvitError if the address or the port is not available
 */
export async function listen(
  app: Hono<{ Bindings: Bindings }>,
  { host, port, timeout, maxBody, onError }: ListenOptions,
): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    // The app handles its own timeouts. These are for requests that do not reach the app.
    serverOptions: {
      headersTimeout: Math.min(timeout, HEAD_TIMEOUT),
      requestTimeout: timeout + 5000,
      connectionsCheckingInterval: 1000,
    },
  }) as Server
  server.maxConnections = MAX_CONNECTIONS
  server.setTimeout(2 * timeout + 5000)

  const webSockets = new WebSocketServer({ noServer: true, maxPayload: maxBody, autoPong: false })
  const readAhead = new ReadAhead(READ_AHEAD * maxBody)
  const sockets = new Set<Socket>()
  server.on(
    'upgrade',
    (request: IncomingMessage, connection: Duplex, head: Buffer) =>
      void upgrade(request, connection, head).catch(onError),
  )

  // No "100 Continue" for a body whose declared size is too large: the client need not send it.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!(Number(request.headers['content-length']) > maxBody)) response.writeContinue()
    server.emit('request', request, response)
  })
  let underWay = 0
  let closing = false
  server.on('request', (_, response) => {
    underWay++
    response.once('close', () => {
      underWay--
      if (closing && underWay === 0) server.closeAllConnections()
    })
  })

  server.listen(port, host)
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const reasons: Record<string, string> = {
      EADDRINUSE:
        'another program already listens there; give another "--port", or 0 for one that is free',
      EACCES: 'this user is not allowed to; give a "--port" of 1024 or more',
    }
    const reason =
      reasons[error.code ?? ''] ??
      `${error.code ?? error.message}; "--host" expected an address of this machine`
    throw new TrecvitError(`Port ${port} of ${quote(host)} cannot be listened on (${reason})`, {
      cause: error,
    })
  })
  server.on('error', onError)

  return {
    address: server.address() as AddressInfo,
    async close() {
      closing = true
      const closed = once(server, 'close')
      server.close()
      if (underWay === 0) server.closeAllConnections()
      const late = setTimeout(() => server.closeAllConnections(), timeout + GRACE)
      await Promise.all([...sockets].map((socket) => socket.end()))
      await closed
      clearTimeout(late)
    },
  }

  async function upgrade(
    request: IncomingMessage,
    connection: Duplex,
    head: Buffer,
  ): Promise<void> {
    connection.on('error', () => connection.destroy())
    const parsed = requestOf(request)
    if ('error' in parsed) return reply(connection, Response.json(parsed, { status: 400 }))
    let accepted: Accepted | undefined
    const response = await app.fetch(parsed, {
      incoming: request,
      accept: (socket) => (accepted = socket),
    })
    if (!accepted) return reply(connection, response)
    const { run, cancel } = accepted
    let opened = false
    webSockets.handleUpgrade(request, connection, head, (webSocket) => {
      opened = true
      const socket = new Socket(webSocket, timeout, readAhead)
      sockets.add(socket)
      void socket.run(run, onError).finally(() => sockets.delete(socket))
    })
    if (!opened) cancel()
  }
}

type Accepted = Parameters<NonNullable<Bindings['accept']>>[0]

function requestOf({ url, headers }: IncomingMessage): Request | { error: string } {
  const { upgrade = '', host = 'localhost' } = headers
  if (upgrade.toLowerCase() !== 'websocket')
    return { error: `"Upgrade" expected "websocket", got ${quote(upgrade)}` }
  if (!url?.startsWith('/') || !URL.canParse(url, `http://${host}`))
    return { error: `The address expected a path, got ${quote(url ?? '')}` }
  const { origin, authorization } = headers
  const known = Object.entries({ host, origin, authorization }).filter(
    ([, value]) => value !== undefined,
  )
  return new Request(new URL(url, `http://${host}`), { headers: known as [string, string][] })
}

/** Writes a complete response to a connection after an upgrade request. */
async function reply(connection: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  connection.end(
    Buffer.concat([
      Buffer.from(
        `HTTP/1.1 ${response.status} ${response.statusText}\r\n${headers}Content-Length: ` +
          `${body.length}\r\nConnection: close\r\n\r\n`,
      ),
      body,
    ]),
    () => connection.destroy(),
  )
}
