/**
 * `trecvit jobs` with workers and a Redis that are killed. 400 clips over three workers: each has
 * one result, equal to that of one undisturbed process. A long video goes on in the next worker. A
 * Redis that is down, lost, full or locked is one sentence each. Needs a build and redis-server.
 *
 *     node test/fleet/archive.mjs [SEED [PATTERN OF NAMES]]
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { blocksOf } from '../../.ci/markdown.mjs'
import { check as checkAlways, counts } from './checks.mjs'
import { freePort, startRedis } from './redis.mjs'

const CLIPS = 400
const WORKERS = 3
const KILLS = 7
const LONG = 4000
const root = fileURLToPath(new URL('../../', import.meta.url))
const script = join(root, 'dist/cli/index.js')
const folder = mkdtempSync(join(tmpdir(), 'trecvit-fleet-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

let seed = Number(process.argv[2] ?? 1)
/** Returns a number from 0 to n - 1. */
const random = (n) => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 8) % n

/** Runs a check, if its name fits the second argument. */
async function check(name, work) {
  if (new RegExp(process.argv[3] ?? '').test(name)) await checkAlways(name, work)
}

const running = new Set()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** Starts `trecvit`. `child.ended` resolves with its code and output. */
function start(...args) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'])
    child[name].on('data', (part) => (child.text[name] += part))
  child.ended = new Promise((resolve) =>
    child.on('close', (code) => {
      running.delete(child)
      resolve({ code, ...child.text })
    }),
  )
  return child
}
const run = (...args) => start(...args).ended
/** Runs a command that has to succeed. */
async function must(...args) {
  const found = await run(...args)
  assert.equal(found.code, 0, found.stderr)
  return found
}
/** Waits until a condition holds. */
async function until(what, condition, seconds = 120) {
  const end = Date.now() + 1000 * seconds
  for (let found; !found; await sleep(20)) {
    found = await condition()
    if (!found && Date.now() > end) {
      const said = [...running].map(({ text }) => text.stderr).join('\n')
      throw new Error(`not within ${seconds} s: ${what}\n${said}`)
    }
    if (found) return found
  }
}

/** Returns a y4m video of drifting noise, 32×32. */
function y4m(frames, from) {
  const size = 32 * 32 * 1.5
  const parts = [Buffer.from('YUV4MPEG2 W32 H32 F25:1 C420jpeg\n')]
  let state = from
  const noise = Uint8Array.from(
    { length: 4 * size },
    () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24,
  )
  for (let frame = 0; frame < frames; frame++) {
    const at = (frame * 7) % (3 * size)
    parts.push(Buffer.from('FRAME\n'), noise.subarray(at, at + size))
  }
  return Buffer.concat(parts)
}
const clips = join(folder, 'clips')
mkdirSync(clips)
for (let i = 0; i < CLIPS; i++) writeFileSync(join(clips, `${i}.y4m`), y4m(6, i + 1))
const long = join(folder, 'long.y4m')
writeFileSync(long, y4m(LONG, 1))

const model = ['--deterministic', '--frames-per-clip', '4']
const machine = ['--threads', '1', '--lease', '2']
const rowsOf = (text) => text.trim().split('\n').sort()
const reference = async (...videos) =>
  rowsOf((await run('classify', ...videos, '--jsonl', '-', '--threads', '1', ...model)).stdout)

const redis = await startRedis('--appendfsync', 'always')
const client = new Redis(redis.url, { maxRetriesPerRequest: null })
client.on('error', () => {})
/** Returns the arguments of a command for a queue. */
const jobs = (command, name, ...args) => [
  'jobs',
  command,
  '--queue',
  redis.url,
  '--name',
  name,
  ...args,
]
const done = (name) => client.hlen(`trecvit:${name}:results`)

await check('400 clips, workers killed and paused, Redis killed', async () => {
  const wanted = await reference(clips)
  const { stdout } = await must(...jobs('submit', 'clips', clips, ...model))
  assert.equal(stdout, `${CLIPS} new jobs\n`)
  assert.match((await must(...jobs('submit', 'clips', clips, ...model))).stdout, /^0 new jobs/)

  const workers = Array.from({ length: WORKERS }, () => start(...jobs('work', 'clips', ...machine)))
  // Every worker is killed at least once; the moments are numbers of results.
  const moments = Array.from({ length: KILLS }, () => 10 + random(CLIPS - 60)).sort((a, b) => a - b)
  for (const [i, moment] of moments.entries()) {
    if (i === Math.floor(KILLS / 2)) {
      await redis.kill()
      await sleep(500)
      await redis.start()
    }
    await until(`${moment} results`, async () => (await done('clips')) >= moment)
    await sleep(random(50))
    const slot = i < WORKERS ? i : random(WORKERS)
    // Another one sleeps so long that its jobs go to others, and then finishes them, too.
    if (i === 1) {
      const asleep = workers.at(-1)
      asleep.kill('SIGSTOP')
      setTimeout(() => asleep.kill('SIGCONT'), 5000)
    }
    workers[slot].kill('SIGKILL')
    workers[slot] = start(...jobs('work', 'clips', ...machine))
  }
  await until('all results', async () => (await done('clips')) === CLIPS)
  await sleep(1000)
  const collected = await run(...jobs('collect', 'clips'))
  assert.deepEqual({ code: collected.code, stderr: collected.stderr }, { code: 0, stderr: '' })
  const rows = collected.stdout.trim().split('\n')
  assert.equal(rows.length, CLIPS)
  assert.deepEqual(
    rows.map((row) => JSON.parse(row).video),
    rows.map((row) => JSON.parse(row).video).sort(),
  )
  assert.deepEqual([...rows].sort(), wanted)
  const status = JSON.parse((await must(...jobs('status', 'clips', '--json'))).stdout)
  const { waiting, active, retrying, failed: lost } = status
  assert.deepEqual([waiting, active, retrying, lost], [0, 0, 0, 0])
  for (const worker of workers) worker.kill('SIGTERM')
  const ends = await Promise.all(workers.map(({ ended }) => ended))
  for (const { code } of ends) assert.equal(code, 130)
  return `${KILLS} workers killed, one paused`
})

const goesOn = /long\.y4m: goes on from frame (\d+)\n/
/** Waits for a saved state of a queue after a frame. Returns its frame. */
const savedAfter = (name, frame) =>
  until(`a state after frame ${frame}`, async () => {
    const [key] = await client.keys(`trecvit:${name}:saved:*`)
    const text = key && (await client.hget(key, 'progress'))
    const { frames } = JSON.parse(text ?? '{"frames":0}')
    return frames > frame ? frames : 0
  })

await check('a long video goes on: while Redis is lost, after SIGKILL and SIGTERM', async () => {
  const wanted = await reference(long)
  await must(...jobs('submit', 'long', long, ...model))
  const first = start(...jobs('work', 'long', ...machine))
  await savedAfter('long', 0)
  await redis.kill()
  await until('the loss', () => /Redis at .* is lost; the worker goes on/.test(first.text.stderr))
  await redis.start()
  await until('the way back', () => /Redis at .* is back/.test(first.text.stderr))
  const at = await savedAfter('long', await savedAfter('long', 0))
  first.kill('SIGKILL')
  const second = start(...jobs('work', 'long', ...machine))
  const frame = await until('the second worker', () => goesOn.exec(second.text.stderr))
  assert(Number(frame[1]) >= at)
  await savedAfter('long', Number(frame[1]))
  const asked = performance.now()
  second.kill('SIGTERM')
  assert.equal((await second.ended).code, 130)
  const leaving = (performance.now() - asked) / 1000
  assert(leaving < 5, `the worker needed ${leaving} s to leave`)
  const third = await must(...jobs('work', 'long', ...machine, '--drain'))
  const later = Number(goesOn.exec(third.stderr)[1])
  assert(later > at && later < LONG, `frame ${later}`)
  assert.deepEqual(rowsOf((await run(...jobs('collect', 'long'))).stdout), wanted)
  assert.deepEqual(await client.keys('trecvit:long:saved:*'), [])
  return `from frames ${frame[1]} and ${later} of ${LONG}`
})

await check('features of a long video go on in the same file', async () => {
  const [wanted, output] = [join(folder, 'wanted.npy'), join(folder, 'out', '{name}.npy')]
  const task = ['--pool', 'gap', ...model]
  await must('features', long, '-o', wanted, '--threads', '1', '--quiet', ...task)
  await must(...jobs('submit', 'features', long, '--task', 'features', '-o', output, ...task))
  const first = start(...jobs('work', 'features', ...machine))
  await savedAfter('features', 0)
  first.kill('SIGKILL')
  const { stderr } = await must(...jobs('work', 'features', ...machine, '--drain'))
  assert.match(stderr, goesOn)
  assert.deepEqual(readdirSync(join(folder, 'out')), ['long.npy'])
  assert.deepEqual(readFileSync(join(folder, 'out', 'long.npy')), readFileSync(wanted))
  const { stdout } = await run(...jobs('collect', 'features'))
  const row = { video: long, output: join(folder, 'out', 'long.npy'), frames: LONG }
  assert.deepEqual(JSON.parse(stdout), row)
})

await check('evaluation is that of trecvit evaluate; parts of a video say so', async () => {
  for (const [i, label] of ['static', 'pan left', 'static'].entries()) {
    mkdirSync(join(folder, 'labelled', label), { recursive: true })
    cpSync(join(clips, `${i}.y4m`), join(folder, 'labelled', label, `${i}.y4m`))
  }
  const data = join(folder, 'labelled')
  await must(...jobs('submit', 'labelled', data, '--task', 'evaluate', ...model))
  const tour = join(root, 'models/tour.mp4')
  const parts = ['--fps', '10', '--independent-segments', '5', ...model]
  await must(...jobs('submit', 'parts', tour, ...parts))
  for (const name of ['labelled', 'parts']) await must(...jobs('work', name, ...machine, '--drain'))
  const wanted = await must('evaluate', data, '--json', '--threads', '1', ...model)
  assert.deepEqual(
    JSON.parse((await run(...jobs('collect', 'labelled', '--json'))).stdout),
    JSON.parse(wanted.stdout),
  )
  const { stdout, stderr } = await run(...jobs('collect', 'labelled'))
  assert.deepEqual(
    rowsOf(stdout).map((row) => JSON.parse(row).class),
    ['pan left', 'static', 'static'],
  )
  assert.match(stderr, /^top-1 \d+\.\d %, top-5 .* of 3 videos\n$/)
  const rows = (await run(...jobs('collect', 'parts'))).stdout.trim().split('\n').map(JSON.parse)
  assert.deepEqual(
    rows.map(({ from, to, frames, independentSegments: s }) => [from, to, frames, s]),
    [
      [0, 5, 50, 5],
      [5, 10, 50, 5],
      [10, 15, 31, 5],
    ],
  )
  const [single] = await reference(tour, '--fps', '10', '--frames', '50')
  assert.deepEqual(rows[0].top, JSON.parse(single).top)
  assert.equal(rows[1].segments[0].start, 5)
})

await check('a video that cannot be read is parked, and retried', async () => {
  const bad = join(folder, 'bad.y4m')
  writeFileSync(bad, 'YUV4MPEG2 W8 H8\n')
  await must(...jobs('submit', 'bad', bad, ...model))
  await must(...jobs('work', 'bad', ...machine, '--drain'))
  const [single] = (await reference(bad, join(clips, '0.y4m'))).filter((row) => /bad/.test(row))
  const { code, stdout, stderr } = await run(...jobs('collect', 'bad'))
  assert.equal(stdout.trim(), single)
  assert.equal(code, 1)
  assert.match(stderr, /^trecvit: 1 of 1 videos have errors, in their rows\n$/)
  assert.equal(
    (await must(...jobs('failed', 'bad'))).stdout,
    `${bad}: ${JSON.parse(single).error}\n`,
  )
  assert.match((await must(...jobs('submit', 'bad', bad, ...model))).stdout, /; 1 failed before /)
  assert.equal((await must(...jobs('retry', 'bad'))).stdout, '1 job waits again\n')
  writeFileSync(bad, readFileSync(join(clips, '0.y4m')))
  await must(...jobs('work', 'bad', ...machine, '--drain'))
  assert.deepEqual(rowsOf((await run(...jobs('collect', 'bad'))).stdout), await reference(bad))
  await must(...jobs('clear', 'bad'))
  assert.deepEqual(await client.keys('trecvit:bad:*'), [])
})

await check('an error that has the path of its video does not repeat it', async () => {
  const unknown = join(folder, 'unknown.mp4')
  writeFileSync(unknown, 'no video')
  await must(...jobs('submit', 'unknown', unknown, ...model))
  await must(...jobs('work', 'unknown', ...machine, '--drain'))
  const { error } = JSON.parse((await run(...jobs('collect', 'unknown'))).stdout)
  assert.match(error, /^".*unknown\.mp4" is no video of a known kind/)
  assert.equal((await must(...jobs('failed', 'unknown'))).stdout, `${error}\n`)
  await must(...jobs('clear', 'unknown'))
})

await check('the fleet can be watched: --wait, --watch, metrics', async () => {
  const port = await freePort()
  const worker = start(...jobs('work', 'watched', ...machine, '--metrics', `${port}`))
  await until('a worker', () => /is empty; waiting for/.test(worker.text.stderr))
  const given = [1, 2, 3].map((i) => join(clips, `${i}.y4m`))
  const { stdout } = await must(
    ...jobs('submit', 'watched', ...given, '--wait', '--json', ...model),
  )
  const lines = stdout.trim().split('\n').map(JSON.parse)
  assert.deepEqual(lines[0], { new: 3, waiting: 0, failed: 0, done: 0, unreadable: 0 })
  assert.equal(lines.at(-1).done, 3)
  assert.equal(lines.at(-1).workers, 1)
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  assert.match(text, /^trecvit_jobs_total\{outcome="done"\} 3$/m)
  assert.match(text, /^trecvit_job_frames_total 18$/m)
  assert.match(text, /^trecvit_queue_jobs\{state="done"\} 3$/m)
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 130)
})

const runtimes = join(root, 'test/platforms/node_modules')
const others = {
  Deno: [join(runtimes, '@deno/linux-x64-glibc/deno'), 'run', '-A'],
  Bun: [join(runtimes, '@oven/bun-linux-x64/bin/bun')],
}
for (const [name, [program, ...args]] of Object.entries(others).filter(([, [p]]) => existsSync(p)))
  await check(`a worker in ${name}`, async () => {
    const clip = join(clips, '3.y4m')
    await must(...jobs('submit', name, clip, ...model))
    const work = jobs('work', name, ...machine, '--drain')
    const child = spawn(program, [...args, script, ...work], { stdio: 'ignore' })
    assert.equal(await new Promise((resolve) => child.on('close', resolve)), 0)
    assert.deepEqual(rowsOf((await run(...jobs('collect', name))).stdout), await reference(clip))
  })

const refusal = async (...args) => {
  const { code, stderr } = await run(...args)
  assert.equal(code, 1)
  assert.equal(stderr.trim().split('\n').length, 1, stderr)
  return stderr
}

await check('Redis that is down, locked, full or no Redis: one sentence each', async () => {
  const down = await freePort()
  assert.equal(
    await refusal('jobs', 'work', '--queue', `redis://127.0.0.1:${down}`),
    `trecvit: Redis at 127.0.0.1:${down} cannot be reached (ECONNREFUSED); check its address, ` +
      'and that redis-server runs there\n',
  )
  assert.match(
    await refusal('jobs', 'status', '--queue', 'http://:secret@localhost:80'),
    /^trecvit: "--queue" expected an address like redis:.*, got "http:\/\/:…@localhost:80"\n$/,
  )
  const locked = await startRedis('--requirepass', 'secret')
  const address = `127.0.0.1:${locked.port}`
  assert.match(
    await refusal('jobs', 'status', '--queue', locked.url),
    /needs a password \(NOAUTH\)/,
  )
  const wrong = `redis://:wrong@${address}`
  assert.equal(
    await refusal('jobs', 'work', '--queue', wrong),
    `trecvit: Redis at ${address} refuses the password (WRONGPASS); give it as ` +
      'redis://:password@host:port, or redis://user:password@host:port\n',
  )
  const asked = start(...['jobs', 'work', '--queue', `redis://:secret@${address}`])
  await until('a worker', () => /is empty; waiting for/.test(asked.text.stderr))
  await locked.kill()
  await until('the loss', () => /Redis at .* is lost/.test(asked.text.stderr))
  await sleep(600)
  const since = performance.now()
  asked.kill('SIGTERM')
  assert.equal((await asked.ended).code, 130)
  assert(performance.now() - since < 8000)
  const passing = await startRedis()
  await must('jobs', 'submit', '--queue', passing.url, join(clips, '1.y4m'))
  const watching = start('jobs', 'status', '--queue', passing.url, '--watch', '--json')
  await until('the first line', () => watching.text.stdout !== '')
  await passing.kill()
  const { code, stderr } = await watching.ended
  assert.deepEqual(
    [code, stderr],
    [
      1,
      `trecvit: Redis at 127.0.0.1:${passing.port} was lost and did not come back; what was ` +
        'stored is kept, so run the command again\n',
    ],
  )
})

await check('a full Redis loses nothing', async () => {
  await must(...jobs('submit', 'full', join(clips, '1.y4m'), ...model))
  const wanted = await reference(join(clips, '1.y4m'))
  const used = /used_memory:(\d+)/.exec(await client.info('memory'))[1]
  const worker = start(...jobs('work', 'full', ...machine))
  await until('a worker', () => /Working on/.test(worker.text.stderr))
  await until('the result', async () => (await done('full')) === 1)
  await client.config('SET', 'maxmemory', used)
  assert.match(
    await refusal(...jobs('submit', 'full', join(clips, '2.y4m'), ...model)),
    /^trecvit: Redis at .* is full \(OOM\); raise its "maxmemory", or remove what is not needed\n$/,
  )
  await client.config('SET', 'maxmemory', '0')
  await must(...jobs('submit', 'full', join(clips, '2.y4m'), ...model))
  await until('the other result', async () => (await done('full')) === 2)
  worker.kill('SIGTERM')
  await worker.ended
  const rows = rowsOf((await run(...jobs('collect', 'full'))).stdout)
  assert.deepEqual(rows, [...wanted, ...(await reference(join(clips, '2.y4m')))])
})

await check('a worker goes on while Redis is full, and stores its results later', async () => {
  const given = [long, ...[4, 5, 6].map((i) => join(clips, `${i}.y4m`))]
  const wanted = await reference(...given)
  await must(...jobs('submit', 'waiting', ...given, ...model))
  const worker = start(...jobs('work', 'waiting', ...machine))
  await savedAfter('waiting', 0)
  await client.config('SET', 'maxmemory', '1')
  const before = await done('waiting')
  assert(before < given.length, 'the worker was ready before Redis was full')
  await until('the sentence', () => /is full/.test(worker.text.stderr))
  // Longer than the lease, which cannot be renewed.
  await sleep(3000)
  assert.equal(await done('waiting'), before)
  await client.config('SET', 'maxmemory', '0')
  await until('all results', async () => (await done('waiting')) === given.length)
  await until('the other sentence', () => /has room again/.test(worker.text.stderr))
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 130)
  // One sentence each, and none in the words of Redis or BullMQ.
  const said = worker.text.stderr.trim().split('\n')
  const kinds = [/^Working on/, /^Redis at .*is full \(OOM\); .*; the worker waits$/, /^Redis has/]
  for (const kind of kinds) assert.equal(said.filter((line) => kind.test(line)).length, 1, kind)
  const others = said.filter((line) => !kinds.some((kind) => kind.test(line)))
  for (const line of others) assert.match(line, /: goes on from frame|^warning: A lease has ended/)
  assert.deepEqual(rowsOf((await must(...jobs('collect', 'waiting'))).stdout), wanted)
})

await check('the commands of docs/archives.md', async () => {
  const port = await freePort()
  const home = mkdtempSync(join(folder, 'docs-'))
  cpSync(clips, join(home, 'clips'), {
    recursive: true,
    filter: (path) => !/\d\d/.test(basename(path)),
  })
  const page = readFileSync(join(root, 'docs/archives.md'), 'utf8')
  const code = blocksOf(page)
    .filter(({ marks }) => marks.includes('ci'))
    .map((block) => block.code)
    .join('\n')
    .replaceAll('redis-server', `redis-server --port ${port}`)
    .replaceAll('6379', port)
  const tool = `trecvit() { '${process.execPath}' '${script}' "$@"; }`
  const end = `trap 'redis-cli -p ${port} shutdown nosave' EXIT`
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', `${tool}\n${end}\n${code}`], {
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  shell.stderr.on('data', (part) => (errors += part))
  assert.equal(await new Promise((resolve) => shell.on('close', resolve)), 0, errors)
  assert.deepEqual(
    rowsOf(readFileSync(join(home, 'results.jsonl'), 'utf8')).length,
    readdirSync(join(home, 'clips')).length,
  )
  assert.equal(readFileSync(join(home, 'vectors.csv'), 'utf8').split('\n').length, 12)
  assert.deepEqual(
    readdirSync(join(home, 'out')).sort(),
    [...'0123456789'].map((n) => `${n}.npy`),
  )
})

client.disconnect()
await redis.kill()
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exit(counts.failed ? 1 : 0)
