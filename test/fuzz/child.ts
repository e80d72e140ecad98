/**
 * Runs cases of one format in a separate process. Before each case it prints a line, so that a case
 * that hangs or ends the process is known. It also prints a line per fault, and the counts at the
 * end.
 */
import { readdirSync, readlinkSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Logging, LogLevel } from 'mediabunny'
import type { Format, Opened } from './format.ts'
import { type Fault, judgeError, Meter, watchAllocations } from './judge.ts'
import { MAX_FILE } from './limits.ts'
import { damage, mutate } from './mutate.ts'
import { type Group, type Written, write } from './parts.ts'
import { Random } from './random.ts'

const formats: Readonly<Record<string, () => Promise<Format>>> = {
  npz: async () => (await import('./formats/checkpoints.ts')).npz,
  npy: async () => (await import('./formats/checkpoints.ts')).npyInZip,
  safetensors: async () => (await import('./formats/checkpoints.ts')).safetensors,
  snapshot: async () => (await import('./formats/snapshot.ts')).snapshot,
  y4m: async () => (await import('./formats/y4m.ts')).y4m,
  png: async () => (await import('./formats/pictures.ts')).pngs,
  jpeg: async () => (await import('./formats/pictures.ts')).jpegs,
  mp4: async () => (await import('./formats/mp4.ts')).mp4,
  'mp4-streamed': async () => (await import('./formats/mp4.ts')).mp4Streamed,
  'mp4-decoded': async () => (await import('./formats/mp4.ts')).mp4Decoded,
  'mp4-auto': async () => (await import('./formats/mp4.ts')).mp4Auto,
  matroska: async () => (await import('./formats/matroska.ts')).matroska,
  'matroska-streamed': async () => (await import('./formats/matroska.ts')).matroskaStreamed,
  'matroska-decoded': async () => (await import('./formats/matroska.ts')).matroskaDecoded,
  'avi-decoded': async () => (await import('./formats/ffmpeg.ts')).aviDecoded,
  'ts-decoded': async () => (await import('./formats/ffmpeg.ts')).tsDecoded,
  'ps-decoded': async () => (await import('./formats/ffmpeg.ts')).psDecoded,
  'flv-decoded': async () => (await import('./formats/ffmpeg.ts')).flvDecoded,
  'gif-decoded': async () => (await import('./formats/ffmpeg.ts')).gifDecoded,
  'webp-decoded': async () => (await import('./formats/ffmpeg.ts')).webpDecoded,
  'skipped-decoded': async () => (await import('./formats/ffmpeg.ts')).skippedDecoded,
  model: async () => (await import('./formats/model.ts')).models,
  infer: async () => (await import('./formats/server.ts')).infer,
  messages: async () => (await import('./formats/server.ts')).messages,
}

/** Number of cases between two checks for open files and processes. */
const LOOK = 100

const [name = '', seed = '0', from = '0', to = '1', save = ''] = process.argv.slice(2)
let end = Number(to)
process.on('SIGINT', () => {})
process.on('SIGTERM', () => (end = 0))
watchAllocations()
// mediabunny prints to the console unless logging is disabled.
Logging.level = LogLevel.Silent
let current = Number(from)
const pause = new Int32Array(new SharedArrayBuffer(4))
const report = (fault: Fault): void => tell(`! ${JSON.stringify({ case: current, ...fault })}`)
const onUnhandled = (error: unknown): void =>
  report({
    kind: 'error',
    text: `Nobody caught: ${error instanceof Error ? error.stack : String(error)}`,
  })
process.on('uncaughtException', onUnhandled)
process.on('unhandledRejection', onUnhandled)
process.on(
  'warning',
  (warning) =>
    /garbage collection/.test(warning.message) &&
    report({ kind: 'handles', text: warning.message }),
)

const format = await formats[name]!()
const counts = {
  opened: 0,
  refused: 0,
  slowest: 0,
  slowestCase: 0,
  memory: 0,
  kinds: [] as string[],
}
const kinds = new Set<string>()

await warmUp()
const handles = listHandles()
for (; current < end; current++) {
  tell(String(current))
  const file = make()
  if (save) writeFileSync(join(save, `${name}-${seed}-${current}`), file.data)
  let fault = await judge(file, true)
  // Runs the case again: another program or the garbage collector may have caused the fault.
  if (fault && ['time', 'memory'].includes(fault.kind)) fault = await judge(make(), false)
  if (fault) report(fault)
  if (current % LOOK === LOOK - 1) await checkHandles()
  // Signals are only handled when the event loop runs.
  else if (current % LOOK === LOOK / 2) await new Promise((resolve) => setTimeout(resolve))
}
await checkHandles()
tell(`. ${JSON.stringify({ ...counts, kinds: [...kinds] })}`)
process.exit()

/** Prints a line at once. A parent that is slow to read fills the pipe, so this waits for it. */
function tell(line: string): void {
  let rest = Buffer.from(`${line}\n`)
  while (rest.length > 0)
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(pause, 0, 0, 10)
    }
}

/** Returns the file of the current case. */
function make(): Written {
  const random = new Random(seed, name, current)
  const pick = (): Group => random.pick(format.seeds)()
  const root = pick()
  mutate(root, random, { other: pick, nest: format.nest })
  const written = write(root)
  const data = random.once(5)
    ? damage(written.data, random, () => write(pick()).data)
    : written.data
  if (data === written.data && data.length <= MAX_FILE) return written
  // After damage or a cut, each part is the bytes at its former offset.
  const cut = data.slice(0, MAX_FILE)
  let at = 0
  const parts = written.parts.map(({ part, data: { length } }) => ({
    part,
    data: cut.slice(at, (at += length)),
  }))
  return { data: cut, parts }
}

async function judge(file: Written, counted: boolean): Promise<Fault | null> {
  if (process.memoryUsage.rss() > 1 << 29) globalThis.gc?.()
  const random = new Random(seed, name, current, 'open')
  const meter = new Meter()
  let opened: Opened | undefined
  let fault: Fault | null = null
  let error: unknown
  try {
    opened = (await format.open(file, random)) ?? undefined
  } catch (thrown) {
    error = thrown
    fault = judgeError(thrown)
  }
  const measured = meter.stop(file.data.length, opened?.decoded ?? 0)
  if (counted) count(error, measured.time, measured.memory)
  return fault ?? measured.fault
}

function count(error: unknown, time: number, memory: number): void {
  if (error) {
    counts.refused++
    if (kinds.size < 500)
      kinds.add(
        String((error as Error).message)
          .replace(/"(?:[^"\\]|\\.)*"|\d+/g, '#')
          .slice(0, 80),
      )
  } else counts.opened++
  if (time > counts.slowest) [counts.slowest, counts.slowestCase] = [time, current]
  counts.memory = Math.max(counts.memory, memory)
}

/** Opens the unchanged seeds. The first must open, otherwise nothing after its error is tested. */
async function warmUp(): Promise<void> {
  for (const [i, seed] of format.seeds.entries()) {
    for (let kind = 0; kind < 8; kind++) {
      const thrown = await format.open(write(seed()), new Random('warm', kind)).then(
        () => null,
        (error: unknown) => error,
      )
      if (i === 0 && thrown)
        report({ kind: 'error', text: `The file without a mutation is refused: ${String(thrown)}` })
    }
  }
}

/** Lists open files and active handles of the event loop by name. */
function listHandles(): string[] {
  const resources = process
    .getActiveResourcesInfo()
    .filter((kind) => !/Immediate|Timeout|TTY|Pipe/.test(kind))
  const files =
    process.platform === 'linux'
      ? readdirSync('/proc/self/fd')
          .map(targetOf)
          .filter((path) => !/^.(dev|proc)./.test(path))
      : []
  return [...resources, ...files]
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return 'the list itself'
  }
}

/** Reports files, processes and requests that cases left open. */
async function checkHandles(): Promise<void> {
  let more: string[] = []
  for (let wait = 0; wait < 20; wait++) {
    const known = [...handles]
    more = listHandles().filter(
      (one) => !known.includes(one) || known.splice(known.indexOf(one), 1).length === 0,
    )
    if (more.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  report({
    kind: 'handles',
    text: `The last ${LOOK} cases left open: ${more.join(', ').slice(0, 300)}`,
  })
  handles.push(...more)
}
