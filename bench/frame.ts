/** One frame of a stream, batch 1: time, and where it goes. --size Ti,S,B --seconds 10 --threads 1 --build simd --dtype f32 */
import type { MatrixDType } from '../src/backend/backend.ts'
import type { Build } from '../src/backend/wasm/builds.ts'
import { configOf, type Size } from '../src/model/config.ts'
import { flopsOf } from '../src/program/listing.ts'
import type { Step } from '../src/program/program.ts'
import { createEngine, machine, randomFrame, type Engine } from './lib/engine.ts'
import { memoryUse, watchMemories } from './lib/memory.ts'
import { settingsOf, type Options } from './lib/options.ts'
import type { Report, Table } from './lib/report.ts'
import { median, now, quantile, since, time, warm, type Sample } from './lib/stats.ts'
import { kindOf, trafficOf } from './lib/steps.ts'

/** Runs of the whole program that the table of operations is made of. */
const PROFILED = 9

/** For each size: milliseconds, frames a second, memory, and a table of operations. */
export async function bench(options: Options): Promise<Report> {
  watchMemories()
  const { size: sizes, seconds, threads, build, dtype } = settingsOf(options, { size: 'Ti,S,B', seconds: 10, threads: 1, build: 'simd', dtype: 'f32' })
  const frames: Record<string, string | number>[] = []
  const tables: Table[] = []
  let facts = {}
  for (const size of sizes.split(',') as Size[]) {
    const before = await memoryUse()
    const engine = await createEngine(configOf(size), 1, { threads, build: build as Build, dtype: dtype as MatrixDType })
    const pixels = randomFrame(engine.config, 0)
    await warm(() => engine.advance(pixels))

    const samples: Sample[] = []
    for (const start = performance.now(); samples.length < 5 || performance.now() - start < 1000 * seconds;) samples.push(await time(() => engine.advance(pixels)))
    const after = await memoryUse()
    const flops = engine.program.steps.reduce((sum, step) => sum + flopsOf(step), 0)
    const walls = samples.map(({ wall }) => wall)
    const p50 = median(walls)
    frames.push({
      size, frames: samples.length, 'p50 ms': p50, 'p95 ms': quantile(walls, 0.95), 'cpu ms': median(samples.map(({ cpu }) => cpu)), fps: 1000 / p50, GFLOP: flops / 1e9, 'GFLOP/s': flops / p50 / 1e6,
      'rss MB': Math.round((after.rss - before.rss) / 1e6), 'wasm MB': Math.round((after.wasm - before.wasm) / 1e6),
    })
    tables.push({ title: `Where a frame of ${size} goes: processor time, median of ${PROFILED} runs step by step`, rows: await operations(engine, pixels) })
    facts = machine(engine.backend.device)
    engine.backend.dispose()
  }
  return { bench: 'frame', facts, tables: [{ title: 'A frame of a stream, batch 1, t = 1', rows: frames }, ...tables], verdict: null }
}

/** Steps of a kind together: time, share, and what they achieve. */
async function operations(engine: Engine, pixels: Float32Array): Promise<Table['rows']> {
  const kinds = new Map<string, { steps: Set<Step>; runs: number[] }>()
  for (let run = 0; run < PROFILED; run++) {
    let start = now()
    await engine.advance(pixels, (step) => {
      const kind = kinds.get(kindOf(step)) ?? { steps: new Set(), runs: new Array<number>(PROFILED).fill(0) }
      kinds.set(kindOf(step), kind)
      kind.steps.add(step)
      kind.runs[run]! += since(start).cpu
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
  return rows.sort((one, other) => other.milliseconds - one.milliseconds).map(({ kind, steps, milliseconds, flops, bytes }) => ({
    operation: kind, steps, ms: milliseconds, 'share %': (100 * milliseconds) / total,
    ...(flops > 0 && { 'GFLOP/s': flops / milliseconds / 1e6 }), 'GB/s': bytes / milliseconds / 1e6,
  }))
}
