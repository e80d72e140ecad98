/**
 * An app behind a port of this machine, with WebSockets, and an end that cuts nobody off.
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

/** Where and how it listens. */
export interface ListenOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** Milliseconds for a request, for a message of a stream, and for a client to take an answer. */
  readonly timeout: number
  /** Bytes of a message of a stream. */
  readonly maxBody: number
  /** Called with unhandled errors. */
  readonly onError: (error: unknown) => void
}

/** A server that listens. */
export interface Listening {
  readonly address: AddressInfo
  /** Takes no more requests, waits until the timeout for those under way, closes connections. */
  close(): Promise<void>
}

/**
 * Connections at once: more are dropped. Files that a process may have open are often limited to
 * 1024.
 */
const MAX_CONNECTIONS = 512
/** Milliseconds for the head of a request. */
const HEAD_TIMEOUT = 10_000
/** Largest messages that wait, of all streams together. */
const READ_AHEAD = 4
/** Milliseconds for an answer that is late to be written. */
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
    // The app itself says what is late; this ends what does not even reach it.
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

  // A body that is refused by its declared size need not be sent.
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
        'another program listens there already; give another "--port", or 0 for one that is free',
      EACCES: 'this user may not; give a "--port" of 1024 or more',
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
    const asked = requestOf(request)
    if ('error' in asked) return reply(connection, Response.json(asked, { status: 400 }))
    let accepted: Accepted | undefined
    const response = await app.fetch(asked, {
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

/** A whole answer on a connection that Node has let go of. */
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
