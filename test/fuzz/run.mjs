/**
 * Fuzzes every parser: mutated files of each format, in a child process a format.
 *
 *     npm run fuzz -- [--help]
 *
 * Ends with a table and `N passed, N failed`. Ctrl-C ends it with the counts so far.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildFuzz } from './build.mjs'
import { runCases } from './cases.mjs'

/** Shares of the cases, by format. */
const SHARES = {
  npz: 140,
  npy: 60,
  safetensors: 110,
  snapshot: 60,
  y4m: 80,
  png: 60,
  jpeg: 80,
  mp4: 170,
  'mp4-decoded': 8,
  'mp4-auto': 1,
  'mp4-streamed': 30,
  matroska: 150,
  'matroska-decoded': 6,
  'matroska-streamed': 20,
  'avi-decoded': 4,
  'ts-decoded': 3,
  'ps-decoded': 3,
  'flv-decoded': 2,
  'gif-decoded': 2,
  'webp-decoded': 2,
  'skipped-decoded': 3,
  infer: 75,
  messages: 70,
  model: 10,
}
/** Cases before each format has had its turn. */
const ROUND = 50_000
/** Milliseconds without a line of the child, after which its case hangs. */
const TIMEOUT = 60_000

const USAGE = `npm run fuzz -- [options]
  --cases N      cases of all formats (default 1000000)
  --minutes M    for this long
  --seed S       default: the time
  --format F,G   only some of ${Object.keys(SHARES).join(', ')}
  --case N       only this case of one format
  --save FOLDER  write each input to a folder first`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    cases: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    format: { type: 'string' },
    case: { type: 'string' },
    save: { type: 'string' },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit()
}
const seed = values.seed ?? String(Date.now() % 2 ** 31)
const one = values.case === undefined ? null : Number(values.case)
const wanted = one !== null ? 1 : Number(values.cases ?? (values.minutes ? Infinity : 1_000_000))
const end = values.minutes ? Date.now() + 60_000 * Number(values.minutes) : Infinity
const known = Object.keys(SHARES)
const requested = values.format?.split(',')
if (requested?.some((name) => !known.includes(name)))
  throw new Error(`--format expected some of ${known.join(', ')}`)
if (values.case && requested?.length !== 1) throw new Error('--case expected one --format, too')
if (values.save) mkdirSync(values.save, { recursive: true })
const decodes = existsSync(new URL('../../build/decoder/decoder.wasm', import.meta.url))
if (!decodes)
  console.log(
    'Without build/decoder (npm run build:decoder), nothing is decoded by FFmpeg in WebAssembly',
  )
const shares = requested
  ? requested.map((name) => [name, SHARES[name]])
  : Object.entries(SHARES).filter(([name]) => decodes || !name.endsWith('-decoded'))
const sum = shares.reduce((total, [, share]) => total + share, 0)

const child = await buildFuzz(fileURLToPath(new URL('../../build/fuzz/', import.meta.url)))
console.log(`seed ${seed}`)
const start = Date.now()
const tables = new Map(
  shares.map(([name]) => [
    name,
    { cases: 0, opened: 0, refused: 0, faults: 0, slowest: 0, memory: 0, kinds: new Set() },
  ]),
)
const faults = new Map()
let done = 0
let stopped = false
let reportedAt = start
let running
process.on('SIGINT', stop)

const next = new Map(shares.map(([name]) => [name, one ?? 0]))
while (!over()) {
  const round = Math.min(ROUND, wanted - done)
  for (const [name, share] of shares) {
    const from = next.get(name)
    const to = from + Math.max(1, Math.round((round * share) / sum))
    for (let at = from; at < to && !over(); ) at = await runSome(name, at, to)
    next.set(name, to)
  }
}
finish()

function over() {
  return stopped || done >= wanted || Date.now() >= end
}

/** Runs cases until the child ends; the number of the case to go on with. */
async function runSome(name, from, to) {
  const table = tables.get(name)
  running = runCases(child, { name, seed, from, to, save: values.save }, TIMEOUT, {
    onCase() {
      table.cases++
      done++
      progress()
      if (Date.now() >= end) stop()
    },
    onFault: (number, found) => fault(name, number, found),
    onEnd({ opened, refused, slowest, memory, kinds }) {
      table.opened += opened
      table.refused += refused
      table.slowest = Math.max(table.slowest, slowest)
      table.memory = Math.max(table.memory, memory)
      for (const kind of kinds) table.kinds.add(kind)
    },
  })
  return running.next
}

function stop() {
  stopped = true
  running?.stop()
}

function firstLine(text) {
  return text.split('\n')[0].slice(0, 200)
}

/** The command that runs a case again. */
function replay(name, number) {
  return `npm run fuzz -- --format ${name} --seed ${seed} --case ${number}`
}

/** Counts a fault; the first of its kind is printed. */
function fault(name, number, { kind, text }) {
  tables.get(name).faults++
  const key = `${name} ${kind} ${text.replace(/\d+|"(?:[^"\\]|\\.)*"/g, '#').slice(0, 160)}`
  const known = faults.get(key)
  if (known) return void known.count++
  faults.set(key, { count: 1, name, number, kind, text })
  console.log(`FAIL  ${kind} in ${name}: ${text.slice(0, 1500)}\n      ${replay(name, number)}`)
}

function progress() {
  if (Date.now() - reportedAt < 10_000) return
  reportedAt = Date.now()
  const part = Math.max(done / wanted, (Date.now() - start) / (end - start))
  const left = ((Date.now() - start) / 60_000) * (1 / part - 1)
  const whole = Number.isFinite(wanted) ? ` of ${wanted}` : ''
  console.error(
    `${done} cases${whole}, ${faults.size} kinds of faults, ${left.toFixed(1)} min left`,
  )
}

function finish() {
  console.log(
    '\n| format | cases | opened | refused | messages | faults | slowest, ms | memory, MB |' +
      '\n|---|---|---|---|---|---|---|---|',
  )
  let failed = 0
  for (const [name, { cases, opened, refused, kinds, faults, slowest, memory }] of tables) {
    failed += faults
    console.log(
      `| ${name} | ${cases} | ${opened} | ${refused} | ${kinds.size} | ${faults} ` +
        `| ${slowest.toFixed(0)} | ${(memory / 1e6).toFixed(0)} |`,
    )
  }
  if (faults.size) console.log('')
  for (const { count, name, number, kind, text } of faults.values()) {
    console.log(`FAIL  ${kind}, ${count} times: ${replay(name, number)}\n      ${firstLine(text)}`)
  }
  console.log(`seed ${seed}, ${((Date.now() - start) / 60_000).toFixed(1)} min`)
  console.log(`${done - Math.min(done, failed)} passed, ${failed} failed`)
  process.exit(failed || (stopped && one !== null) ? 1 : 0)
}
