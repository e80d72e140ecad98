/** Streams of the client: against the server with connections that fail, and a faulty server. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { MemoryStore } from '../src/cli/serve/sequences/memoryStore.ts'
import { Pace } from '../src/cli/serve/sequences/pace.ts'
import { Sequence } from '../src/cli/serve/sequences/sequence.ts'
import { tasks } from '../src/cli/serve/tasks.ts'
import type { RemoteAnswer } from '../src/client/index.ts'
import { Client, type RemoteStream, type RemoteStreamOptions } from '../src/client/index.ts'
import { noise } from './commandLine.ts'
import { FRAME, model, sequencesOf, unexpected } from './serving.ts'
import { base, start, until, useServer } from './sockets.ts'

useServer()

const SIZE = { width: 16, height: 16 }
const frames = Array.from({ length: 150 }, (_, seed) => noise(FRAME, seed))

/** Returns frame and probabilities of each answer of an undisturbed stream. */
async function expectedOf(count: number): Promise<{ frame: number; probs: number[] }[]> {
  const stream = model.stream()
  const answers = []
  for (const data of frames.slice(0, count)) {
    const { frame, probs } = await stream.push({ data, shape: [16, 16, 3] })
    answers.push({ frame, probs: [...probs.data] })
  }
  await stream.dispose()
  return answers
}

const shortOf = ({ frame, probs }: RemoteAnswer) => ({ frame, probs: [...probs] })

async function answersOf(stream: RemoteStream, from = 0, to = frames.length) {
  const answers = []
  for await (const answer of stream.run(frames.slice(from, to))) answers.push(shortOf(answer))
  return answers
}

function openStream(
  options: Partial<RemoteStreamOptions> = {},
  Socket: typeof WebSocket = WebSocket,
): RemoteStream {
  const client = new Client(`http://${base}`, { WebSocket: Socket as never })
  return client.openStream('tiny', { sequenceId: 'cam-7', ...SIZE, ...options })
}

describe('against the server', () => {
  test('a stream has the answers of the library, and its state is deleted at the end', {
    tags: 'slow',
  }, async () => {
    const sequences = sequencesOf()
    await start({ sequences })
    const stream = openStream({ maxFrames: 128 })
    expect(await stream.opened).toBe(0)
    expect(await answersOf(stream)).toEqual(await expectedOf(frames.length))
    expect(stream.saved).toBeGreaterThanOrEqual(64)
    await stream.end()
    await expect(stream.push(frames[0]!)).rejects.toThrow('The stream was closed; open another one')
    await expect(openStream({ resume: true }).opened).rejects.toThrow(
      'Stream "cam-7" failed: Stream "cam-7" is unknown; start it with "sequence_start": true',
    )
  })

  test('a client without room for more frames gets a save, whatever it costs', async () => {
    await start()
    const saved = vi.spyOn(Pace.prototype, 'saved').mockImplementation(() => {})
    const stream = openStream({ maxFrames: 10 })
    expect(await answersOf(stream, 0, 25)).toEqual(await expectedOf(25))
    await stream.end()
    saved.mockRestore()
  }, 10_000)

  test('frames that are moved to a thread count with their bytes', async () => {
    const pushed = vi.spyOn(Sequence.prototype, 'pushed')
    const toModel: typeof tasks.toModel = ({ bytes, ...task }) =>
      tasks.toModel({ ...task, bytes: structuredClone(bytes, { transfer: [bytes.buffer] }) })
    await start({ tasks: { ...tasks, toModel } })
    const stream = openStream({ width: 200, height: 200 })
    await stream.push(new Uint8Array(120_000))
    expect(pushed.mock.calls).toEqual([[120_000]])
    await stream.end()
  })

  test('another client goes on where one has closed', { tags: 'slow' }, async () => {
    await start()
    const one = openStream()
    const before = await answersOf(one, 0, 11)
    await one.close()
    const two = openStream({ resume: true })
    expect(await two.opened).toBe(11)
    expect([...before, ...(await answersOf(two, 11, 20))]).toEqual(await expectedOf(20))
    // The one that is open is not taken from its client.
    const third = openStream({ resume: true, retryTimeout: 100 })
    await expect(third.opened).rejects.toThrow(/"cam-7" is open at another connection/)
    await two.end()
  })

  test('connections that break at any moment neither lose nor repeat an answer', {
    tags: 'slow',
  }, async () => {
    await start()
    // Connections break before a state would be saved.
    const due = (frames: number) => (frames >= 4 ? 'cost' : null)
    const isDue = vi.spyOn(Pace.prototype, 'isDue').mockImplementation(due)
    const numbers = noise(4096, 7)
    let at = 0
    const random = () => numbers[at++]! / 256
    let cuts = 0
    /** Breaks after some messages, of which the last may be lost on its way. */
    class Fragile extends WebSocket {
      constructor(url: string) {
        super(url)
        let left = 2 + Math.floor(random() * 80)
        const { emit } = this
        this.emit = (event: string, ...rest: unknown[]): boolean => {
          if (event === 'message' && --left <= 0) {
            if (left === 0) cuts++
            this.terminate()
            if (random() < 0.5) return false
          }
          return emit.call(this, event, ...rest)
        }
      }
    }
    const stream = openStream({}, Fragile as never)
    expect(await answersOf(stream)).toEqual(await expectedOf(frames.length))
    expect(cuts).toBeGreaterThan(3)
    expect(stream.connections).toBeGreaterThan(3)
    await stream.end()
    isDue.mockRestore()
  })

  test('frames are answered while no state can be saved, up to a bound', {
    tags: 'slow',
  }, async () => {
    const store = new MemoryStore(4)
    const { open } = store
    let isFull = true
    store.open = async (claim) => {
      const owned = await open.call(store, claim)
      if (!('save' in Object(owned))) return owned
      const { save, ...rest } = owned as Extract<typeof owned, { save: unknown }>
      return {
        ...rest,
        save: async (frame, state) => {
          if (isFull && frame > 0) throw new Error('full')
          await save(frame, state)
        },
      }
    }
    await start({ sequences: sequencesOf({ store }) })
    const stream = openStream({ maxFrames: 100 })
    const running = answersOf(stream)
    let failed = false
    running.catch(() => (failed = true))
    while (stream.frame < 100 && !failed) await new Promise((resolve) => setTimeout(resolve, 5))
    await expect(stream.push(frames[0]!)).rejects.toThrow(/await "stream.ready" first/)
    expect(await until(() => unexpected.length > 0)).toBe(true)
    expect(unexpected.splice(0)[0]).toEqual(new Error('full'))
    isFull = false
    expect(await running).toEqual(await expectedOf(frames.length))
    await stream.end()
    unexpected.length = 0
  })

  test('a camera that pauses for longer than the timeout goes on', { tags: 'slow' }, async () => {
    await start({ timeout: 300 })
    const stream = openStream()
    const before = await answersOf(stream, 0, 5)
    await until(() => stream.connections > 1)
    expect([...before, ...(await answersOf(stream, 5, 9))]).toEqual(await expectedOf(9))
    await stream.end()
  })

  test('a server that ends saves the streams first, and tells clients to reconnect', async () => {
    const store = new MemoryStore(4)
    const sequences = sequencesOf({ store })
    const server = await start({ sequences })
    const stream = openStream({ retryTimeout: 100 })
    await answersOf(stream, 0, 5)
    expect(stream.saved).toBe(0)
    await sequences.saveAll(1000)
    await server.close()
    expect(stream.saved).toBe(5)
    await expect(stream.close()).resolves.toBeUndefined()
  })

  test('refusals of the server end the stream with its sentence', async () => {
    await start()
    await expect(openStream({ average: { frames: 0 } }).opened).rejects.toThrow(/"average" expect/)
    const stream = openStream({ sequenceId: 'other' })
    await expect(stream.push(new Uint8Array(5))).rejects.toThrow(
      'Stream "other" failed: A raw frame of 16x16 expected 768 bytes, got 5',
    )
    const client = new Client(`http://${base}`, { WebSocket: WebSocket as never })
    await expect(client.openStream('none', { sequenceId: 'x' }).opened).rejects.toThrow(
      'Stream "x" failed: There is no model "none"; this server has "tiny"',
    )
    const stop = new AbortController()
    const aborted = openStream({ sequenceId: 'third', signal: stop.signal })
    await aborted.opened
    stop.abort(new Error('enough'))
    await expect(aborted.push(frames[0]!)).rejects.toThrow('enough')
    expect(() => openStream({ sequenceId: '' })).toThrow(/"sequenceId" expected a name/)
    expect(() => openStream({ maxFrames: 0 })).toThrow(/"maxFrames" expected a number from 1/)
    expect(() => new Client(`http://${base}`).openStream('tiny', { sequenceId: 'x' })).toThrow(
      globalThis.WebSocket ? undefined : /new Client\(url, \{ WebSocket \}\)/,
    )
  })
})

describe('against a faulty server', () => {
  let server: WebSocketServer | undefined
  afterEach(() => {
    for (const socket of server?.clients ?? []) socket.terminate()
    server?.close()
  })

  /** Serves one script per connection; the last one is repeated. */
  async function serve(
    ...scripts: ((socket: WebSocket, message: string | Buffer) => void)[]
  ): Promise<Client> {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    let count = 0
    server.on('connection', (socket) => {
      const script = scripts[Math.min(count++, scripts.length - 1)]!
      socket.on('message', (data: Buffer, isBinary) => {
        script(socket, isBinary ? data : data.toString())
      })
    })
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    return new Client(`http://127.0.0.1:${port}`, { WebSocket: WebSocket as never })
  }

  const line = (frame: number, rest: object = {}): string =>
    JSON.stringify({ frame, partial: false, top: [], probs: [0.5], ...rest })

  /** A server that answers correctly from frame `next` on. */
  function good(next: number) {
    let frame = next
    return (socket: WebSocket, message: string | Buffer): void => {
      if (message instanceof Buffer) socket.send(line(frame++))
      else if (message.includes('sequence_end')) socket.send('{"ended":1}')
      else {
        frame = next
        socket.send(JSON.stringify({ next }))
      }
    }
  }

  test.each([
    ['a duplicate', (socket: WebSocket) => [line(0), line(0)].map((one) => socket.send(one))],
    ['an answer too early', (socket: WebSocket) => socket.send(line(1))],
    ['a part of a line', (socket: WebSocket) => socket.send(line(0).slice(0, 20))],
    ['an unknown line', (socket: WebSocket) => socket.send('{"x":1}')],
    ['an abrupt end', (socket: WebSocket) => socket.terminate()],
    ['an internal error', (socket: WebSocket) => socket.close(1011)],
    ['silence', () => {}],
  ])('after %s it reconnects, and gives each answer once', async (name, fault) => {
    const client = await serve((socket, message) => {
      if (message instanceof Buffer) fault(socket)
      else socket.send('{"next":0}')
    }, good(0))
    const timeout = name === 'silence' ? 400 : 10_000
    const stream = client.openStream('tiny', { sequenceId: 'x', ...SIZE, timeout })
    const answers = []
    for await (const { frame } of stream.run(frames.slice(0, 5))) answers.push(frame)
    expect(answers).toEqual([0, 1, 2, 3, 4])
    expect(stream.connections).toBe(2)
    await stream.end()
  })

  test('the opening message starts a stream once, and proves its client later', async () => {
    const openings: Record<string, unknown>[] = []
    const seen = (socket: WebSocket, message: string | Buffer): void => {
      if (typeof message !== 'string') return socket.terminate()
      openings.push(JSON.parse(message))
      if (openings.length === 1) socket.terminate()
      else socket.send('{"next":0}')
    }
    const client = await serve(seen, seen, (socket, message) => {
      if (typeof message === 'string' && !message.includes('end"'))
        openings.push(JSON.parse(message))
      good(0)(socket, message)
    })
    const average = { frames: 4 }
    const stream = client.openStream('tiny', { sequenceId: 'x', ...SIZE, average })
    await stream.push(frames[0]!)
    const { sequence_key: key } = openings[0]!
    expect(key).toMatch(/^[\da-f]{32}$/)
    const room = { frames: 8192, bytes: 2 ** 26 }
    const always = { sequence_id: 'x', sequence_key: key, ...SIZE, sequence_room: room }
    const first = { ...always, sequence_start: true, average }
    expect(openings).toEqual([first, first, always])
    await stream.end()
  })

  test('an end whose confirmation was lost is an end', async () => {
    const client = await serve(
      (socket, message) => {
        if (message.includes('sequence_end')) socket.terminate()
        else good(0)(socket, message)
      },
      (socket) => {
        socket.send('{"error":"unknown"}')
        socket.close(1008)
      },
    )
    const stream = client.openStream('tiny', { sequenceId: 'x', ...SIZE })
    await stream.push(frames[0]!)
    await stream.end()
    expect(stream.connections).toBe(1)
  })

  test('frames that the servers have lost after saving are an error, not a gap', async () => {
    const client = await serve((socket, message) => {
      if (typeof message !== 'string') {
        for (const one of [line(0), '{"saved":1}']) socket.send(one)
        socket.close(1001)
      } else socket.send('{"next":0}')
    }, good(0))
    const stream = client.openStream('tiny', { sequenceId: 'x', ...SIZE })
    await stream.push(frames[0]!)
    await expect(stream.push(frames[1]!)).rejects.toThrow(
      'Stream "x" failed: the servers have lost frames 0 to 0, which were saved',
    )
  })

  test('a save is confirmed only after the answers before it', async () => {
    const confirmed: unknown[] = []
    const client = await serve((socket, message) => {
      if (typeof message !== 'string') {
        for (const one of ['{"saving":1}', line(0), '{"saving":1}']) socket.send(one)
      } else if (message.includes('answered')) {
        confirmed.push(JSON.parse(message))
        if (confirmed.length === 2) socket.send('{"saved":1}')
      } else if (message.includes('sequence_id')) socket.send('{"next":0}')
    })
    const stream = client.openStream('tiny', { sequenceId: 'x', ...SIZE })
    await stream.push(frames[0]!)
    await stream.close()
    // The first was asked for too early.
    expect(confirmed).toEqual([{ answered: 0 }, { answered: 1 }])
    expect(stream.saved).toBe(1)
  })

  test('without a server a stream fails after its timeout', async () => {
    const client = await serve(good(0))
    server!.close()
    const stream = client.openStream('tiny', { sequenceId: 'x', retryTimeout: 50 })
    await expect(stream.push(frames[0]!)).rejects.toThrow(
      /"x" failed: no server for 0.05 s: the co/,
    )
  })

  test('with a server that hangs a stream fails after its timeouts', async () => {
    const hung = createServer(() => {}).listen(0, '127.0.0.1')
    await once(hung, 'listening')
    const client = new Client(`http://127.0.0.1:${(hung.address() as AddressInfo).port}`, {
      WebSocket: WebSocket as never,
    })
    const stream = client.openStream('tiny', { sequenceId: 'x', timeout: 100, retryTimeout: 150 })
    await expect(stream.push(frames[0]!)).rejects.toThrow(/"x" failed: no server for 0.15 s/)
    hung.closeAllConnections()
    hung.close()
  })

  test('a loop that is left early asks its source to end', async () => {
    const stream = (await serve(good(0))).openStream('tiny', { sequenceId: 'x', ...SIZE })
    let returned = false
    async function* source() {
      try {
        for (;;) yield* frames
      } finally {
        returned = true
      }
    }
    for await (const { frame } of stream.run(source())) if (frame === 3) break
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(returned).toBe(true)
    await stream.end()
  })
})
