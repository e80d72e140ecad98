/**
 * What an id costs a stream: frames a second, and processor time of the server and of Redis, of a
 * stream with an id against one without, over the same server with `--state`. Both are open all the
 * time, and send in turn, so that what else the machine does disturbs them alike; medians of the
 * ratios of neighbours. Needs a build and redis-server.
 *
 *     node bench/fleet/stream.mjs [ROUNDS]
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { freePort, startRedis } from '../../test/fleet/redis.mjs'

const ROUNDS = Number(process.argv[2] ?? 15)
/** Frames that a client sends before their answers, and seconds of a turn. */
const AHEAD = 32
const SECONDS = 3
/** Seconds that each stream runs before it is measured. */
const WARM_UP = 6
/** Milliseconds of a tick of /proc. */
const TICK = 10
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))

const redis = await startRedis()
const port = await freePort()
const machine = ['--device', 'wasm', '--threads', '1', '--state', redis.url]
const server = spawn(process.execPath, [script, 'serve', '--port', port, ...machine], {
  stdio: 'ignore',
})
process.on('exit', () => server.kill('SIGKILL'))
while (!(await fetch(`http://127.0.0.1:${port}`).catch(() => null))) await sleep(50)
const size = { width: 96, height: 96 }
const pixels = Buffer.alloc(96 * 96 * 3).map((_, i) => 128 + 100 * Math.sin(i / 300))

function timeOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return TICK * (Number(fields[11]) + Number(fields[12]))
}

/** A client that confirms answers as trecvit/client does. */
class Client {
  saves = 0
  #answers = 0
  #sent = 0
  #wake = () => {}
  #confirm = []
  #socket

  async open(first) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/v2/models/builtin/stream`)
    await new Promise((resolve) => this.#socket.on('open', resolve))
    this.#socket.on('message', (data) => this.#receive(JSON.parse(data)))
    this.#socket.send(JSON.stringify({ ...size, ...first }))
    return this
  }

  /** Sends frames for so many seconds. */
  async run(seconds) {
    const before = { own: timeOf(server.pid), redis: timeOf(redis.pid) }
    const [first, start] = [this.#answers, performance.now()]
    while (performance.now() - start < 1000 * seconds) {
      while (this.#sent < this.#answers + AHEAD) {
        this.#socket.send(pixels)
        this.#sent++
      }
      await new Promise((resolve) => (this.#wake = resolve))
    }
    while (this.#answers < this.#sent) await new Promise((resolve) => (this.#wake = resolve))
    const frames = this.#answers - first
    return {
      wall: (performance.now() - start) / frames,
      own: (timeOf(server.pid) - before.own) / frames,
      redis: (timeOf(redis.pid) - before.redis) / frames,
    }
  }

  #receive(message) {
    if (message.error) throw new Error(message.error)
    if ('saving' in message) this.#confirm.push(message.saving)
    if ('saved' in message) this.saves++
    if ('frame' in message) {
      this.#answers++
      this.#wake()
    }
    while (this.#confirm[0] <= this.#answers)
      this.#socket.send(JSON.stringify({ answered: this.#confirm.shift() }))
  }
}

const room = { frames: 8192, bytes: 2 ** 26 }
const clients = {
  plain: await new Client().open({}),
  kept: await new Client().open({
    ...{ sequence_id: 'bench', sequence_start: true, sequence_room: room },
  }),
}
const found = { plain: [], kept: [] }
for (const client of Object.values(clients)) await client.run(WARM_UP)
const { saves } = clients.kept
let frames = 0
for (let round = 0; round < ROUNDS; round++)
  for (const [kind, client] of Object.entries(clients)) {
    const run = await client.run(SECONDS)
    found[kind].push(run)
    if (kind === 'kept') frames += (1000 * SECONDS) / run.wall
  }

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
for (const [kind, runs] of Object.entries(found)) {
  const of = (field) => median(runs.map((run) => run[field])).toFixed(3)
  console.log(`${kind}: wall ${of('wall')}, server ${of('own')}, Redis ${of('redis')} ms a frame`)
}
const percent = (cost) => {
  const ratios = found.kept.map((run, i) => cost(run) / cost(found.plain[i]))
  return `${(100 * (median(ratios) - 1)).toFixed(1)} %`
}
console.log(`a save every ${Math.round(frames / (clients.kept.saves - saves))} frames`)
console.log(`an id costs ${percent(({ wall }) => wall)} of the wall time`)
console.log(`  and ${percent(({ own, redis }) => own + redis)} of the processor time, with Redis`)
process.exit()
