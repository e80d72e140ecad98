/**
 * One frame of a stream, batch 1: time, memory, and time per operation. Options: --size Ti,S,B
 * --seconds 3 --threads 1 --build auto --dtype f32
 */
import { configOf } from '../model/config.ts'
import { flopsOf } from '../program/listing.ts'
import type { Step } from '../program/program.ts'
import { type Monitor, part, shouldContinue, unmonitored } from './lib/bench.ts'
import { machineFacts } from './lib/machineFacts.ts'
import { memoryUse, watchMemories } from './lib/memory.ts'
import { type Options, oneOf, settingsOf, sizesOf } from './lib/options.ts'
import {
  buildOf,
  createRandomModel,
  dtypes,
  type RandomModel,
  randomFrame,
} from './lib/randomModel.ts'
import type { Bar, Report, Table } from './lib/report.ts'
import { median, now, quantile, type Sample, since, time, warm } from './lib/stats.ts'
import { kindOf, trafficOf } from './lib/steps.ts'

/** Number of runs of the program for the table of operations. */
const PROFILED = 9

/** For each size: milliseconds, frames per second, memory, and a table of operations. */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  watchMemories()
  const settings = settingsOf(options, {
    size: 'Ti,S,B',
    seconds: 3,
    threads: 1,
    build: 'auto',
    dtype: 'f32',
  })
  const { seconds, threads } = settings
  const dtype = oneOf('dtype', settings.dtype, dtypes)
  const build = await buildOf(settings.build, dtype)
  const unit = dtype === 'int8' ? 'GOP' : 'GFLOP'
  const sizes = sizesOf(settings.size)
  const frames: Record<string, string | number>[] = []
  const tables: Table[] = []
  const bars: Bar[] = []
  let facts = machineFacts({ kernels: build, threads })
  for (const [index, size] of sizes.entries()) {
    const [timing, profiling] = [
      part(part(monitor, index, sizes.length), 0, 2),
      part(part(monitor, index, sizes.length), 1, 2),
    ]
    if (!(await shouldContinue(timing, 0))) break
    const before = await memoryUse()
    const model = await createRandomModel(configOf(size), 1, { threads, build, dtype })
    const pixels = randomFrame(model.config, 0)
    await warm(() => model.advance(pixels), 500 * Math.min(1, seconds))

    const samples: Sample[] = []
    for (
      const start = performance.now();
      samples.length < 5 || performance.now() - start < 1000 * seconds;
    ) {
      samples.push(await time(() => model.advance(pixels)))
      if (
        !(await shouldContinue(
          timing,
          Math.min(samples.length / 5, (performance.now() - start) / 1000 / seconds),
        ))
      )
        break
    }
    const after = await memoryUse()
    const flops = model.program.steps.reduce((sum, step) => sum + flopsOf(step), 0)
    const walls = samples.map(({ wall }) => wall)
    const p50 = median(walls)
    const mega = (kind: 'rss' | 'wasm') =>
      after[kind] > 0 && { [`${kind} MB`]: Math.round((after[kind] - before[kind]) / 1e6) }
    frames.push({
      size,
      frames: samples.length,
      'p50 ms': p50,
      'p95 ms': quantile(walls, 0.95),
      'cpu ms': median(samples.map(({ cpu }) => cpu)),
      fps: 1000 / p50,
      [unit]: flops / 1e9,
      [`${unit}/s`]: flops / p50 / 1e6,
      ...mega('rss'),
      ...mega('wasm'),
    })
    bars.push({ group: size, label: 'trecvit', value: 1000 / p50 })
    const runs = await operations(model, pixels, unit, profiling)
    if (runs.length)
      tables.push({
        title: `CPU time of a frame of ${size} by operation: medians of runs step by step`,
        rows: runs,
      })
    facts = machineFacts(model.backend.device)
    model.backend.dispose()
  }
  return {
    bench: 'frame',
    facts: { ...facts, dtype },
    tables: [{ title: 'A frame of a stream, batch 1, t = 1', rows: frames }, ...tables],
    bars,
    verdict: null,
  }
}

/** Steps of a kind together: time, share, and what they achieve. */
async function operations(
  model: RandomModel,
  pixels: Float32Array,
  unit: string,
  monitor: Monitor,
): Promise<Table['rows']> {
  const kinds = new Map<string, { steps: Set<Step>; runs: number[] }>()
  for (let run = 0; run < PROFILED && (await shouldContinue(monitor, run / PROFILED)); run++) {
    let start = now()
    await model.advance(pixels, (step) => {
      const kind = kinds.get(kindOf(step)) ?? { steps: new Set(), runs: [] }
      kinds.set(kindOf(step), kind)
      kind.steps.add(step)
      kind.runs[run] = (kind.runs[run] ?? 0) + since(start).cpu
      start = now()
    })
  }
  const rows = [...kinds].map(([kind, { steps, runs }]) => {
    const milliseconds = median(runs)
    const flops = [...steps].reduce((sum, step) => sum + flopsOf(step), 0)
    const bytes = [...steps].reduce((sum, step) => sum + trafficOf(step), 0)
    return { kind, milliseconds, steps: steps.size, flops, bytes }
  })
  const total = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  return rows
    .sort((one, other) => other.milliseconds - one.milliseconds)
    .map(({ kind, steps, milliseconds, flops, bytes }) => ({
      operation: kind,
      steps,
      ms: milliseconds,
      'share %': (100 * milliseconds) / (total || 1),
      // A browser's clock stands still over the shortest steps.
      ...(milliseconds > 0 && {
        ...(flops > 0 && { [`${unit}/s`]: flops / milliseconds / 1e6 }),
        'GB/s': bytes / milliseconds / 1e6,
      }),
    }))
}
