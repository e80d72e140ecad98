/**
 * Time from the start of a process to the first result, in one process per run. Measures the
 * built-in model, and models of other sizes in an .npz in the disk cache. Node, Deno and Bun only.
 * Options: --size B --threads <all> --dtype f32
 */

import { TrecvitError } from '../base/error.ts'
import { encodeNpz } from '../checkpoint/npy.ts'
import { library } from '../files.ts'
import { type Config, configOf, sizeNames } from '../model/config.ts'
import { recordModel } from '../model/graph.ts'
import { weightTable } from '../model/weights.ts'
import { builtinModule } from '../platform/platform.ts'
import { availableThreads } from '../platform/worker.ts'
import { sizeOf } from '../program/program.ts'
import { type Monitor, shouldContinue, unmonitored } from './lib/bench.ts'
import { machineFacts } from './lib/machineFacts.ts'
import { type Options, oneOf, settingsOf } from './lib/options.ts'
import { dtypes } from './lib/randomModel.ts'
import type { Report } from './lib/report.ts'
import { median } from './lib/stats.ts'
import { randomCheckpoint } from './lib/weights.ts'

/** Number of processes for the built-in model, and for each file. */
const ROUNDS = 7
const LOADS = 3

/** Measurements of a process: milliseconds since its start, and bytes. */
interface Start {
  readonly imported: number
  readonly loaded: number
  readonly result: number
  readonly peak: number
  readonly kernels: string
  readonly threads: number
  /** Measured by the parent, from before the process was started. */
  readonly wall: number
}

/**
 * Returns medians of the time to the first result and of its parts, and the peak memory relative to
 * weights and state.
 */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  const settings = settingsOf(options, {
    size: 'B',
    threads: Math.min(8, availableThreads()),
    dtype: 'f32',
  })
  const dtype = oneOf('dtype', settings.dtype, dtypes)
  const sizes = settings.size.split(',').map((name) => oneOf('size', name, sizeNames))
  const [fs, os, path] = [
    builtinModule('node:fs/promises'),
    builtinModule('node:os'),
    builtinModule('node:path'),
  ]
  if (!fs || !os || !path)
    throw new TrecvitError('The bench "start" starts processes, which only Node, Deno and Bun can')
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'trecvit-bench-'))
  const script = path.join(folder, 'start.mjs')
  const total = ROUNDS + sizes.length * (LOADS + 2)
  let done = 0
  const runs = async (count: number, source: string, more: object): Promise<Start[]> => {
    const starts: Start[] = []
    while (starts.length < count && (await shouldContinue(monitor, done / total))) {
      const start = await run(
        script,
        [source, JSON.stringify({ device: 'wasm', threads: settings.threads, ...more })],
        monitor.signal,
      )
      if (!start) break
      starts.push(start)
      done++
    }
    return starts
  }
  const times = (starts: readonly Start[]) => {
    const of = (key: 'imported' | 'loaded' | 'result' | 'wall', less?: 'imported' | 'loaded') =>
      median(starts.map((start) => start[key] - (less ? start[less] : 0)))
    return {
      processes: starts.length,
      'to import ms': of('imported'),
      'load ms': of('loaded', 'imported'),
      'first frame ms': of('result', 'loaded'),
      'load and frame ms': of('result', 'imported'),
      'process to result ms': of('wall'),
    }
  }
  const rows: Record<string, string | number>[] = []
  const memory: Record<string, string | number>[] = []
  let kernels = ''
  try {
    await fs.writeFile(script, SCRIPT)
    const builtin = await runs(ROUNDS, 'builtin', {})
    if (builtin.length) rows.push({ model: 'built-in', ...times(builtin) })
    kernels = builtin[0]?.kernels ?? ''
    for (const size of sizes) {
      if (!(await shouldContinue(monitor, done / total))) break
      const config = configOf(size)
      const file = path.join(folder, `${size}.npz`)
      const bytes = await npzOf(config)
      await fs.writeFile(file, bytes)
      done++
      // The first run is not counted: it brings the file into the disk cache.
      await runs(1, file, { dtype })
      const starts = await runs(LOADS, file, { dtype })
      await fs.rm(file)
      if (!starts.length) break
      rows.push({
        model: `${size}, .npz of ${Math.round(bytes.length / 1e6)} MB`,
        ...times(starts),
      })
      const peak = median(starts.map((start) => start.peak))
      const needed = weightBytes(config, dtype) + stateBytes(config)
      memory.push({
        model: size,
        'peak MB': peak / 1e6,
        'weights MB': weightBytes(config, dtype) / 1e6,
        'state MB': stateBytes(config) / 1e6,
        'above both MB': (peak - needed) / 1e6,
      })
    }
  } finally {
    await fs.rm(folder, { recursive: true, force: true })
  }
  return {
    bench: 'start',
    facts: { ...machineFacts({ kernels, threads: settings.threads }), dtype },
    tables: [
      { title: 'To the first result, medians', rows },
      { title: 'Largest memory of such a process, the runtime itself included', rows: memory },
    ].filter((table) => table.rows.length > 0),
    verdict: null,
  }
}

/**
 * Script of the process. Its arguments are the source of the model and the options for loading it.
 */
const SCRIPT = `
import { readFileSync } from 'node:fs'
import { TRecViT } from ${JSON.stringify(library.href)}
const imported = performance.now()
const [source, options] = process.argv.slice(2)
const model = await TRecViT.load(source, JSON.parse(options))
const loaded = performance.now()
const [height, width] = model.config.imageSize
const stream = model.stream({ average: 'all' })
await stream.push({ data: new Uint8Array(height * width * 3), shape: [height, width, 3] })
const result = performance.now()
let peak = process.resourceUsage().maxRSS * 1024
try {
  peak = 1024 * Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
} catch {}
console.log(JSON.stringify({ imported, loaded, result, peak, ...model.device }))
await model.dispose()
`

/** Runs the script to its end. Returns null if the signal is aborted first. */
async function run(
  script: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Start | null> {
  const { spawn } = builtinModule('node:child_process')!
  const flags = process.versions['deno'] ? ['run', '-A', script] : [script]
  const began = performance.now()
  const child = spawn(process.execPath, [...flags, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  let [text, errors, wall] = ['', '', 0]
  child.stdout.on('data', (part) => {
    text += String(part)
    wall ||= performance.now() - began
  })
  child.stderr.on('data', (part) => (errors += String(part)))
  const code = await new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  if (signal.aborted) return null
  if (code !== 0)
    throw new TrecvitError(
      `A process that loads a model ended with ${String(code)}: ` +
        `${errors.trim().split('\n').at(-1) ?? ''}`,
    )
  return { ...(JSON.parse(text) as Omit<Start, 'wall'>), wall }
}

/** Returns a checkpoint with random weights as an .npz file. */
async function npzOf(config: Config): Promise<Uint8Array> {
  const checkpoint = randomCheckpoint(config, 1)
  const arrays: [string, { data: Float32Array; shape: readonly number[] }][] = []
  for (const { name, shape } of checkpoint.tensors.values()) {
    const data = new Float32Array(sizeOf(shape))
    await checkpoint.read(name, (values, at) => data.set(values, at))
    arrays.push([name, { data, shape }])
  }
  return encodeNpz(arrays)
}

function weightBytes(config: Config, dtype: (typeof dtypes)[number]): number {
  return weightTable(config, dtype).reduce(
    (sum, { kind, blocks, rows, columns }) =>
      sum + (kind === 'int8' ? 1 : 4) * blocks * rows * columns,
    0,
  )
}

function stateBytes(config: Config): number {
  return recordModel(config, {
    b: 1,
    t: 1,
    pixels: 'u8',
    recent: 'all',
    encoded: false,
  }).states.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
}
