/**
 * Live streams over servers that are killed. 20 streams over three servers behind HAProxy, which
 * share Redis: servers end at random moments, one is paused until its lease is over, Redis starts
 * again. Each frame has one answer, in order, equal to that of an undisturbed stream. Redis that is
 * down, locked, full or lost is one sentence each. Needs a build, redis-server and haproxy.
 *
 *     node test/fleet/live.mjs [SEED] [FRAMES]
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { Client } from '../../dist/client/index.js'
import { TRecViT } from '../../dist/index.js'
import { check, counts } from './checks.mjs'
import { freePort, startRedis } from './redis.mjs'

const STREAMS = 20
const FRAMES = Number(process.argv[3] ?? 500)
const VIDEOS = 4
const KILLS = 10
/** Seconds. */
const LEASE = 2
const SIZE = { width: 96, height: 96 }
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const recipe = new URL('../../examples/deploy/haproxy.cfg', import.meta.url)
const folder = mkdtempSync(join(tmpdir(), 'trecvit-live-'))
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const children = new Set()
let seed = Number(process.argv[2] ?? 1)
/** Returns a number from 0 to n - 1. */
const random = (n) => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 8) % n

/** Waits up to five minutes for a condition. */
async function until(holds, what) {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries === 6000) throw new Error(`${what} does not come true`)
    await sleep(50)
  }
}

function launch(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  child.on('exit', () => children.delete(child))
  const run = { child, stdout: '', stderr: '', code: undefined }
  for (const name of ['stdout', 'stderr']) child[name].on('data', (part) => (run[name] += part))
  run.ended = new Promise((resolve) => child.on('close', (code) => resolve((run.code = code))))
  return run
}

/** Starts `trecvit serve`. Resolves when it listens, or has ended. */
async function serve(port, url, ...more) {
  const model = ['--deterministic', '--threads', '1', '--max-streams', '32']
  const state = ['--state', url, '--state-lease', LEASE]
  const run = launch(process.execPath, [
    ...[script, 'serve', '--port', port, ...model, ...state, ...more],
  ])
  run.port = port
  await until(() => run.stdout.includes('http://') || run.code !== undefined, 'a server')
  return run
}

async function metric(port, name) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return [...text.matchAll(new RegExp(`^${name}(?:{.*})? (\\S+)$`, 'gm'))].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  )
}

const clientOf = (port) => new Client(`http://127.0.0.1:${port}`, { WebSocket })
const pixelsOf = (video, frame) => {
  let state = video * 1e6 + frame
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24
  return Uint8Array.from({ length: 96 * 96 * 3 }, next)
}

/** Probabilities after each frame of undisturbed streams. */
const expected = []
const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
for (let video = 0; video < VIDEOS; video++) {
  const stream = model.stream()
  const answers = []
  for (let frame = 0; frame < Math.max(FRAMES, 200); frame++) {
    const { probs } = await stream.push({ data: pixelsOf(video, frame), shape: [96, 96, 3] })
    answers.push(probs.data)
  }
  expected.push(answers)
}
await model.dispose()

const redis = await startRedis()
const ports = [await freePort(), await freePort(), await freePort()]
const balancer = await freePort()
const servers = await Promise.all(ports.map((port) => serve(port, redis.url)))
const config = readFileSync(recipe, 'utf8')
  .replace('bind :8080', `bind 127.0.0.1:${balancer}`)
  .replace('127.0.0.1:8001', `127.0.0.1:${ports[0]}`)
  .replace('127.0.0.1:8002', `127.0.0.1:${ports[1]}\n    server c 127.0.0.1:${ports[2]}`)
writeFileSync(join(folder, 'haproxy.cfg'), config)

await check('HAProxy accepts examples/deploy/haproxy.cfg', () => {
  execFileSync('haproxy', ['-c', '-f', join(folder, 'haproxy.cfg')], { stdio: 'pipe' })
})
const proxy = launch('haproxy', ['-f', join(folder, 'haproxy.cfg')])

let answers = 0
const streams = []
const connections = () => streams.reduce((sum, stream) => sum + stream.connections, 0)

/** Pushes all frames of a stream. Returns the differences from an undisturbed one. */
async function follow(number) {
  const video = number % VIDEOS
  const options = { sequenceId: `cam-${number}`, ...SIZE, timeout: 5000 }
  const stream = clientOf(balancer).openStream('builtin', options)
  streams.push(stream)
  let count = 0
  async function* frames() {
    for (let frame = 0; frame < FRAMES; frame++) yield pixelsOf(video, frame)
  }
  for await (const { frame, probs } of stream.run(frames())) {
    assert.equal(frame, count, `cam-${number}`)
    assert.deepEqual(probs, expected[video][frame], `cam-${number}, frame ${frame}`)
    count++
    answers++
  }
  assert.equal(count, FRAMES)
  await stream.end()
}

/** Waits for a number of answers of all streams. */
const reached = (count) => until(() => answers >= count, `answer ${count}`)

async function replace(index) {
  await servers[index].ended
  servers[index] = await serve(ports[index], redis.url)
}

/** What happens, at which answer. */
const events = Array.from({ length: KILLS }, () => ({
  at: Math.round((0.03 + 0.0085 * random(100)) * STREAMS * FRAMES),
  async run() {
    const index = random(ports.length)
    servers[index].child.kill('SIGKILL')
    await replace(index)
  },
}))
let refused = 0
events.push({
  at: Math.round(0.35 * STREAMS * FRAMES),
  async run() {
    const paused = servers[0]
    const owned = () => metric(paused.port, 'trecvit_sequences')
    await until(async () => (await owned()) > 1, 'streams at the first server')
    const before = (await owned()) + connections()
    paused.child.kill('SIGSTOP')
    await sleep(LEASE * 1000 + 1000)
    // Its clients notice the silence, and go on elsewhere.
    await until(() => connections() >= before, 'another server')
    paused.child.kill('SIGCONT')
    const count = () => metric(paused.port, 'trecvit_state_refused_writes_total')
    await until(async () => (refused = await count()) > 0, 'a refused write')
  },
})
events.push({
  at: Math.round(0.6 * STREAMS * FRAMES),
  async run() {
    await redis.kill()
    await sleep(500)
    await redis.start()
  },
})
events.push({
  at: Math.round(0.75 * STREAMS * FRAMES),
  async run() {
    servers[1].child.kill('SIGTERM')
    await replace(1)
  },
})

await check(`${STREAMS} streams of ${FRAMES} frames, ${KILLS} kills`, async () => {
  const start = performance.now()
  const all = Promise.all(Array.from({ length: STREAMS }, (_, number) => follow(number)))
  const disturb = async () => {
    for (const { at, run } of events.sort((a, b) => a.at - b.at)) {
      await reached(at)
      await run()
    }
  }
  await Promise.all([all, disturb()])
  const client = new Redis(redis.port)
  assert.deepEqual(await client.keys('trecvit:stream:*'), [])
  client.disconnect()
  const seconds = (performance.now() - start) / 1000
  assert(connections() > STREAMS + KILLS, `got ${connections()} connections`)
  return `${connections()} connections, ${(answers / seconds).toFixed(0)} answers/s`
})
await check('late writes of the paused server are refused', () => {
  assert(refused > 0)
  return `${refused} writes`
})

for (const { child } of servers) child.kill('SIGTERM')
for (const { ended } of servers) await ended

await check('Redis that is down or locked at the start is one sentence', async () => {
  const locked = await startRedis('--requirepass', 'secret')
  const port = await freePort()
  for (const [url, sentence] of [
    [
      `redis://127.0.0.1:${port}`,
      /^trecvit: Redis at \S+ cannot be reached \(ECONNREFUSED\); .+\n$/,
    ],
    [
      `redis://:wrong@127.0.0.1:${locked.port}`,
      /^trecvit: Redis at \S+ refuses the password .+\n$/,
    ],
    [`redis://127.0.0.1:${locked.port}`, /^trecvit: Redis at \S+ needs a password .+\n$/],
    ['http://x', /^trecvit: "--state" expected an address like redis:.+\n$/],
  ]) {
    const run = await serve(0, url)
    assert.equal(await run.ended, 1)
    assert.match(run.stderr, sentence)
  }
  await locked.kill()
})

await check('frames are answered while Redis is full or lost, and saved later', async () => {
  const server = await serve(await freePort(), redis.url)
  const stream = clientOf(server.port).openStream('builtin', {
    sequenceId: 'alone',
    maxFrames: 128, // The server has to save when half of them are not saved.
    ...SIZE,
  })
  await stream.opened
  const push = async (count) => {
    for (let i = 0; i < count; i++) {
      const { frame, probs } = await stream.push(pixelsOf(0, stream.frame))
      assert.deepEqual(probs, expected[0][frame])
    }
  }
  let admin = new Redis(redis.port)
  await admin.config('SET', 'maxmemory', '1mb')
  await push(100)
  assert.equal(stream.saved, 0)
  await until(() => server.stderr.includes('\n'), 'a sentence')
  assert.match(server.stderr, /^trecvit: No state is saved: Redis at \S+ is full \(OOM\); .+\n$/)
  await admin.config('SET', 'maxmemory', '0')
  await until(() => stream.saved > 0, 'a save after Redis was full')
  admin.disconnect()

  const { saved } = stream
  await redis.kill()
  await push(100)
  assert.match(server.stderr, /\ntrecvit: Redis at \S+ is lost; frames are answered, .+\n$/)
  assert.equal(await metric(server.port, 'trecvit_state_store_up'), 0)
  assert(stream.saved - saved <= 100)
  await redis.start()
  await stream.close()
  assert.equal(stream.saved, 200)
  assert.match(server.stderr, /\ntrecvit: Redis at \S+ is back; .+\n$/)
  assert.equal(server.stderr.match(/\n/g).length, 3)
  server.child.kill('SIGTERM')
  admin = new Redis(redis.port)
  assert.equal(await server.ended, 130)
  assert.deepEqual(await admin.keys('trecvit:*'), ['trecvit:stream:builtin:alone'])
  admin.disconnect()
})

if (counts.failed) console.log(proxy.stderr, ...servers.map(({ stderr }) => stderr))
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exit(counts.failed ? 1 : 0)
