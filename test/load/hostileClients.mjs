/** Hostile clients: slow, half-open, oversized or killed. Each repeats until the test ends. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { FRAME } from './answers.mjs'

const infer = '/v2/models/builtin/infer'
const head = (base, length) =>
  `POST ${infer} HTTP/1.1\r\nHost: ${base}\r\nInference-Header-Content-Length: ` +
  `0\r\nContent-Length: ${length}\r\n\r\n`

/** A connection on which `work` writes; gives the status of its first answer, or null. */
async function raw(base, work) {
  const [host, port] = base.split(':')
  const socket = connect(Number(port), host)
  let got = ''
  socket.on('data', (part) => (got += part.toString('latin1')))
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.on('close', resolve))
  await Promise.race([new Promise((resolve) => socket.on('connect', resolve)), closed])
  await Promise.race([work(socket).catch(() => {}), closed])
  socket.destroy()
  return Number(/^HTTP\/1\.1 (\d+)/.exec(got)?.[1] ?? 0) || null
}

/** A WebSocket that `work` uses; gives the code it was closed with. */
async function stream(base, work, headers = {}) {
  const socket = new WebSocket(`ws://${base}/v2/models/builtin/stream`, { headers })
  socket.on('error', () => {})
  const closed = new Promise((resolve) => {
    socket.on('unexpected-response', (_, { statusCode }) => resolve(statusCode))
    socket.on('close', resolve)
  })
  const opened = new Promise((resolve) => socket.on('open', resolve))
  await Promise.race([opened.then(() => work(socket)).catch(() => {}), closed])
  socket.terminate()
  return closed
}

const forever = () => new Promise(() => {})
const writeSlowly = async (socket) => {
  for (;;) {
    socket.write('x')
    await sleep(300)
  }
}

/**
 * What hostile clients do, and the statuses or close codes that they may get. 0 and 1006 mean that
 * the connection was closed.
 */
const attacks = [
  [
    'a slow body',
    [408, 503],
    (base) => raw(base, (socket) => (socket.write(head(base, FRAME)), writeSlowly(socket))),
  ],
  [
    'a slow head',
    [408],
    (base) => raw(base, (socket) => (socket.write('GET /v2 HTTP/1.1\r\nX: '), writeSlowly(socket))),
  ],
  ['a connection that sends nothing', [408], (base) => raw(base, () => sleep(8000))],
  ['half a head', [408], (base) => raw(base, (socket) => (socket.write('POST /v2'), forever()))],
  [
    'half a body',
    [408, 503],
    (base) =>
      raw(
        base,
        (socket) => (
          socket.write(head(base, FRAME)), socket.write(Buffer.alloc(FRAME / 2)), forever()
        ),
      ),
  ],
  [
    'a body that is killed',
    [503],
    (base) =>
      raw(base, async (socket) => {
        socket.write(head(base, 8 * FRAME))
        socket.write(Buffer.alloc(4 * FRAME))
        await sleep(50)
        socket.resetAndDestroy()
      }),
  ],
  [
    'a body too large',
    [413, 503],
    (base) =>
      raw(
        base,
        (socket) => (socket.write(head(base, 1e9)), socket.write(Buffer.alloc(1e6)), sleep(2000)),
      ),
  ],
  [
    'an endless body',
    [413, 503],
    (base) =>
      raw(base, async (socket) => {
        socket.write(
          `POST ${infer} HTTP/1.1\r\nHost: ${base}\r\nTransfer-Encoding: chunked\r\n\r\n`,
        )
        for (;;) {
          const isFree = socket.write(`100000\r\n${'x'.repeat(0x100000)}\r\n`)
          if (!isFree) await once(socket, 'drain')
        }
      }),
  ],
  [
    'large JSON that does not fit',
    [400, 503],
    (base) =>
      raw(base, (socket) => {
        const json = `{"inputs":[${'[],'.repeat(300_000)}[]]}`
        socket.write(
          `POST ${infer} HTTP/1.1\r\nHost: ${base}\r\nContent-Length: ` +
            `${json.length}\r\n\r\n${json}`,
        )
        return once(socket, 'data')
      }),
  ],
  [
    'garbage',
    [400],
    (base) => raw(base, (socket) => (socket.write(Buffer.alloc(3000, 7)), forever())),
  ],
  [
    'another host',
    [403],
    (base) => stream(base, forever, { host: 'evil.example', origin: 'http://evil.example' }),
  ],
  ['a stream that sends nothing', [1008, 503], (base) => stream(base, forever)],
  [
    'a stream that is killed',
    [503],
    (base) =>
      stream(base, async (socket) => {
        socket.send('{"width":96,"height":96}')
        for (let i = 0; i < 20; i++) socket.send(Buffer.alloc(FRAME))
        await sleep(100)
      }),
  ],
  [
    'a message too large',
    [1009, 503],
    (base) =>
      stream(base, (socket) => {
        socket.send('{}')
        socket.send(Buffer.alloc(3e7))
        return forever()
      }),
  ],
  [
    'a stream that reads nothing',
    [503],
    (base) =>
      stream(base, async (socket) => {
        socket.send('{"width":96,"height":96}')
        socket.send(Buffer.alloc(FRAME))
        socket.pause()
        for (let i = 0; i < 40; i++) socket.send('{"snapshot":true}')
        await sleep(10_000)
      }),
  ],
  [
    'pictures that cannot be decoded',
    [1008, 503],
    (base) =>
      stream(base, (socket) => {
        socket.send('{}')
        for (let i = 0; i < 5; i++) socket.send(Buffer.from([0xff, 0xd8, 0xff, i, 1, 2, 3]))
        return forever()
      }),
  ],
  [
    'a flood of pings',
    [503],
    (base) =>
      stream(base, async (socket) => {
        for (let i = 0; i < 2000; i++) socket.ping('x'.repeat(100))
        await sleep(1000)
      }),
  ],
]

/** Repeats the i-th attack, and checks the status that it gets. */
export async function hostileClient({ base, report, running }, i) {
  const [name, expected, attack] = attacks[i % attacks.length]
  while (running()) {
    const status = await attack(base)
    if (status === null || status === 1006 || status === 1001 || expected.includes(status))
      report.count('hostile')
    else report.wrong(`${name}: ${status}`)
    await sleep(200)
  }
}
