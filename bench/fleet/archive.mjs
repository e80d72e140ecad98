/**
 * What a queue costs, and how two workers share a machine. Each round runs in turn one worker, two
 * workers, and `trecvit classify` without a queue, with one thread each, over the same clips. It
 * counts the time between the first tenth and the last tenth of the results, without the start:
 * wall time, and processor time of workers and Redis, which other work on the machine disturbs
 * less. Needs a build and redis-server.
 *
 * The built-in model takes a millisecond a frame, so it shows the cost of the queue best. A worker
 * decodes beside the thread of its model, and with such a small one that takes a third of a second
 * core. How workers share cores is measured with a model of size Ti. Two cores that share caches, a
 * clock or a host do less than twice the work of one: two commands without a queue show how much.
 *
 *     node bench/fleet/archive.mjs [ROUNDS [CLIPS]]
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { configOf } from '../../dist/index.js'
import { encodeCheckpoint, initialise } from '../../dist/train/index.js'
import { startRedis } from '../../test/fleet/redis.mjs'

const ROUNDS = Number(process.argv[2] ?? 5)
const CLIPS = Number(process.argv[3] ?? 300)
const FRAMES = 16
/** Of this many clips, one is for Ti. */
const LARGER = 8
/** Jobs without work. */
const QUEUED = 5000
/** Ticks of /proc/PID/stat per second. */
const TICKS = 100
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'trecvit-bench-'))
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/**
 * Moving waves, and the arguments of commands that compute them. Noise makes the conversion of
 * colours three times slower, because the processor guesses its branches wrongly.
 */
function makeWork(name, count, ...model) {
  const clips = join(folder, name)
  mkdirSync(clips)
  for (let i = 0; i < count; i++) {
    const parts = [Buffer.from('YUV4MPEG2 W96 H96 F25:1 C420jpeg\n')]
    for (let frame = 0; frame < FRAMES; frame++) {
      const wave = (_, at) => 128 + 80 * Math.sin((at % 96) / 9 + at / 3000 + frame / 4 + i)
      parts.push(Buffer.from('FRAME\n'), Uint8Array.from({ length: 96 * 96 * 1.5 }, wave))
    }
    writeFileSync(join(clips, `${i}.y4m`), Buffer.concat(parts))
  }
  return { count, args: [clips, ...model] }
}
const small = makeWork('small', CLIPS)
const path = join(folder, 'Ti.safetensors')
const config = configOf('Ti', { numClasses: 10 })
writeFileSync(path, await encodeCheckpoint(config, initialise(config, 1)))
const large = makeWork('large', Math.ceil(CLIPS / LARGER), '--model', path)

function start(...args) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  running.add(child)
  child.ended = new Promise((resolve) =>
    child.on('close', () => {
      running.delete(child)
      resolve()
    }),
  )
  return child
}

const redis = await startRedis('--appendfsync', 'always')
const client = new Redis(redis.url)

/** Seconds of processor time of processes. Of one that has ended, what was read last. */
function processorTime(children) {
  for (const child of children) {
    const path = `/proc/${child.pid}/stat`
    if (!existsSync(path)) continue
    const fields = readFileSync(path, 'utf8').split(') ')[1].split(' ')
    child.ticks = Number(fields[11]) + Number(fields[12])
  }
  return children.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS
}
async function redisTime() {
  const text = await client.info('cpu')
  const of = (name) => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(text)[1])
  return of('used_cpu_sys') + of('used_cpu_user')
}

/** Measures the middle of some work. `count` returns the finished clips. */
async function measure(children, count, total) {
  const at = async (least) => {
    let done = 0
    while ((done = await count()) < least) await sleep(20)
    const time = performance.now() / 1000
    return { done, time, own: processorTime(children), redis: await redisTime() }
  }
  const first = await at(total / 10)
  const last = await at(0.9 * total)
  const clipsDone = last.done - first.done
  const perClip = (name) => (1000 * (last[name] - first[name])) / clipsDone
  return { wall: perClip('time'), own: perClip('own'), redis: perClip('redis') }
}

async function fleet(workers, { args, count }) {
  const name = `bench${Math.random().toString(36).slice(2)}`
  const queue = ['--queue', redis.url, '--name', name]
  await start('jobs', 'submit', ...args, ...queue).ended
  const children = Array.from({ length: workers }, () =>
    start('jobs', 'work', '--threads', '1', ...queue),
  )
  const found = await measure(children, () => client.hlen(`trecvit:${name}:results`), count)
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(children.map(({ ended }) => ended))
  return found
}

/** Measures jobs that another worker has done already: nothing but the queue. */
async function queueOnly() {
  const name = `bench${Math.random().toString(36).slice(2)}`
  const queue = ['--queue', redis.url, '--name', name]
  await start('jobs', 'submit', ...small.args, ...queue).ended
  const [job, ...more] = await client.lrange(`trecvit:${name}:wait`, 0, -1)
  const fields = await client.hgetall(`trecvit:${name}:${job}`)
  // More jobs than clips, as copies of one: a job takes little time.
  const ids = Array.from({ length: QUEUED }, (_, i) => `v${i}`)
  const all = client.pipeline()
  for (const id of ids) {
    all.hset(`trecvit:${name}:${id}`, fields).hset(`trecvit:${name}:results`, id, '{}')
    all.lpush(`trecvit:${name}:wait`, id)
  }
  for (const id of [job, ...more]) all.hset(`trecvit:${name}:results`, id, '{}')
  await all.exec()
  const child = start('jobs', 'work', '--threads', '1', ...queue)
  const total = QUEUED + CLIPS
  const count = async () => total - (await client.llen(`trecvit:${name}:wait`))
  const found = await measure([child], count, total)
  child.kill('SIGTERM')
  await child.ended
  return found
}

/** Runs commands without a queue, each over all clips. */
async function classify(commands, { args, count }) {
  let done = 0
  const children = Array.from({ length: commands }, () => {
    const child = start('classify', ...args, '--jsonl', '-', '--threads', '1')
    child.stdout.on('data', (part) => {
      for (const byte of part) done += byte === 10
    })
    return child
  })
  const found = await measure(children, async () => done, commands * count)
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(children.map(({ ended }) => ended))
  return found
}

const runs = {
  'one worker': () => fleet(1, small),
  'no queue': () => classify(1, small),
  'no work': queueOnly,
  'Ti, one worker': () => fleet(1, large),
  'Ti, two workers': () => fleet(2, large),
  'Ti, one command': () => classify(1, large),
  'Ti, two commands': () => classify(2, large),
}
const found = Object.fromEntries(Object.keys(runs).map((name) => [name, []]))
for (let round = 0; round < ROUNDS; round++)
  for (const [name, run] of Object.entries(runs)) found[name].push(await run())
client.disconnect()
await redis.kill()

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
const ratio = (work) => median(Array.from({ length: ROUNDS }, (_, i) => work(i)))
console.log(`clips of ${FRAMES} frames, medians of ${ROUNDS} rounds, ms a clip`)
for (const [name, rounds] of Object.entries(found)) {
  const of = (field) => median(rounds.map((run) => run[field])).toFixed(2)
  console.log(`${name}: wall ${of('wall')}, processor ${of('own')}, Redis ${of('redis')}`)
}
const [one, none, empty, oneTi, twoTi, oneCommand, twoCommands] = Object.values(found)
const cost = ratio((i) => empty[i].own + empty[i].redis)
console.log(`the queue: ${cost.toFixed(2)} ms of processor time a job, with Redis`)
console.log(`  ${ratio((i) => empty[i].wall).toFixed(2)} ms of wall time`)
const beside = ratio((i) => one[i].own + one[i].redis - none[i].own)
console.log(`a worker and Redis beside no queue: ${beside.toFixed(2)} ms of processor time a clip`)
const workers = ratio((i) => oneTi[i].wall / twoTi[i].wall)
console.log(`two workers: ${workers.toFixed(2)} times the clips of one`)
const commands = ratio((i) => oneCommand[i].wall / twoCommands[i].wall)
console.log(`two commands without a queue: ${commands.toFixed(2)} times the clips of one`)
