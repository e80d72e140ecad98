/**
 * Cost of saved states: the processor time of a server for a frame of a stream whose state goes to
 * Redis, relative to one without an id. Pairs of rounds, medians. Processor time, because it does
 * not depend on what else runs on the machine. Needs a build and redis-server.
 *
 *     node bench/fleet/live.mjs [ROUNDS] [FRAMES] [-- OPTIONS OF SERVE]
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { Client } from '../../dist/client/index.js'
import { startRedis } from '../../test/fleet/redis.mjs'

const [own, more] = [process.argv.slice(2), []]
const split = own.indexOf('--')
if (split >= 0) more.push(...own.splice(split).slice(1))
const [ROUNDS = 8, FRAMES = 1000] = own.map(Number)
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
/** Milliseconds of a tick of /proc. */
const TICK = 10
const pixels = new Uint8Array(96 * 96 * 3).fill(128)

/** Processor time of a process in milliseconds, with its threads. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return TICK * (Number(fields[11]) + Number(fields[12]))
}

const redis = await startRedis()
const args = ['serve', '--port', '0', '--json', '--deterministic', '--threads', '1', ...more]
const server = spawn(process.execPath, [script, ...args, '--state', redis.url], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
process.on('exit', () => server.kill('SIGKILL'))
const [line] = await new Promise((resolve) =>
  server.stdout.once('data', (...part) => resolve(part)),
)
const { address } = JSON.parse(line)

/** Frames of a stream without an id: 16 on their way, as for the client. */
async function plain() {
  const socket = new WebSocket(`${address.replace('http', 'ws')}v2/models/builtin/stream`)
  await new Promise((resolve) => socket.on('open', resolve))
  socket.send('{"width":96,"height":96}')
  let sent = 0
  let got = 0
  await new Promise((resolve) => {
    const fill = () => {
      while (sent < FRAMES && sent - got < 16) socket.send(pixels, () => {}, sent++)
    }
    socket.on('message', () => (++got === FRAMES ? resolve() : fill()))
    fill()
  })
  socket.close()
}

async function kept() {
  const client = new Client(address, { WebSocket })
  const stream = client.openStream('builtin', { sequenceId: 'bench', width: 96, height: 96 })
  for await (const _ of stream.run(Array.from({ length: FRAMES }, () => pixels)));
  await stream.end()
}

/** Returns the processor time of a frame, of the server and of Redis, in milliseconds. */
async function measure(work) {
  const before = [cpuOf(server.pid), cpuOf(redis.pid)]
  await work()
  await sleep(50)
  return [cpuOf(server.pid), cpuOf(redis.pid)].map((time, i) => (time - before[i]) / FRAMES)
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
const metrics = async () => (await fetch(`${address}metrics`)).text()
const count = (text, name) =>
  [...text.matchAll(new RegExp(`^${name}(?:{.*})? (\\S+)$`, 'gm'))].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  )

await plain()
await kept()
const start = await metrics()
const rounds = []
for (let round = 0; round < ROUNDS; round++) {
  const order = round % 2 ? [kept, plain] : [plain, kept]
  const times = new Map()
  for (const work of order) times.set(work, await measure(work))
  rounds.push({ plain: times.get(plain), kept: times.get(kept) })
}
const end = await metrics()
const since = (name) => count(end, name) - count(start, name)
const saves = since('trecvit_state_saves_total')
const server1 = median(rounds.map(({ plain }) => plain[0]))
const ratio = median(rounds.map(({ plain, kept }) => kept[0] / plain[0]))
const write = median(rounds.map(({ kept }) => kept[1])) - median(rounds.map((r) => r.plain[1]))
console.log(
  `frame without state ${server1.toFixed(3)} ms of processor time; with state ` +
    `${(100 * (ratio - 1)).toFixed(1)} % more in the server, ${write.toFixed(3)} ms in Redis; ` +
    `${((ROUNDS * FRAMES) / saves).toFixed(1)} frames a save, ` +
    `${((since('trecvit_state_save_seconds_total') / saves) * 1000).toFixed(2)} ms a save, ` +
    `${(since('trecvit_state_saved_bytes_total') / saves / 1e3).toFixed(0)} kB a state`,
)
server.kill('SIGTERM')
await redis.kill()
process.exit()
