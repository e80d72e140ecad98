/**
 * A stream on a GPU: latency, throughput, chunks, and where the time goes. For each set of Dawn's toggles and number format of the matrices.
 * --size Ti,S,B --seconds 1 --toggles "disable_workgroup_init disable_workgroup_init,disable_robustness"
 */
import { create } from 'webgpu'
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.ts'
import { configOf, type Config, type Size } from '../../src/model/config.ts'
import { recordModel } from '../../src/model/graph.ts'
import { loadWeights } from '../../src/model/load.ts'
import { weightTable } from '../../src/model/weights.ts'
import { everything, OPTIONAL } from '../../src/platform/gpu.ts'
import { flopsOf } from '../../src/program/listing.ts'
import { sizeOf, type Step } from '../../src/program/program.ts'
import { settingsOf, type Options } from '../../src/bench/lib/options.ts'
import type { Report, Table } from '../../src/bench/lib/report.ts'
import { median, quantile } from '../../src/bench/lib/stats.ts'
import { kindOf } from '../../src/bench/lib/steps.ts'
import { noise, randomCheckpoint } from '../../src/bench/lib/weights.ts'

/** Frames of a chunk by videos side by side: a live stream, many of them, files. */
const SHAPES = [[1, 1], [4, 1], [1, 8], [1, 16]] as const
/** Runs step by step that the table of operations is made of. */
const PROFILED = 5

const defaults = { size: 'Ti,S,B', seconds: 1, toggles: 'disable_workgroup_init disable_workgroup_init,disable_robustness disable_workgroup_init,disable_robustness,skip_validation' }

export async function bench(options: Options): Promise<Report> {
  const { size: sizes, seconds, toggles } = settingsOf(options, defaults)
  const tables: Table[] = []
  const frames: Record<string, string | number>[] = []
  const faults: string[] = []
  let facts: Record<string, string | number> = {}
  for (const set of toggles.split(' ')) {
    for (const size of sizes.split(',') as Size[]) {
      for (const dtype of ['f32', 'f16'] as const) {
        const label = `${size} ${dtype}, ${set}`
        try {
          const entry = create([`enable-dawn-features=${set}`, 'disable-dawn-features=timestamp_quantization'])
          const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' })
          if (!adapter) throw new Error('There is no adapter: set VK_DRIVER_FILES to the driver')
          const device = await adapter.requestDevice(everything(adapter))
          const { vendor, architecture, description } = adapter.info
          facts = { date: new Date().toISOString(), adapter: description, vendor, architecture, node: process.version, features: OPTIONAL.filter((feature) => adapter.features.has(feature)).join(' ') }
          const config = configOf(size)
          const start = performance.now()
          const backend = await WebGpuBackend.create(device, weightTable(config), dtype)
          await loadWeights(randomCheckpoint(config, 1), config, backend, { dtype })
          await device.queue.onSubmittedWorkDone()
          const loaded = performance.now() - start
          for (const [b, t] of SHAPES) frames.push({ label, b, t, 'load ms': loaded, ...await speed(backend, config, b, t, seconds) })
          if (set === toggles.split(' ')[0]) tables.push({ title: `Where a frame of ${label} goes: time on the GPU, median of ${PROFILED} runs step by step`, rows: await operations(backend, config) })
          backend.dispose()
          device.destroy()
        } catch (error) {
          faults.push(`${label}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
    }
  }
  return {
    bench: 'gpu', facts, tables: [{ title: 'Frames of streams; p50 and p95 of one chunk from pixels to logits, frames a second with two chunks under way', rows: frames }, ...tables],
    verdict: faults.length ? { holds: false, text: faults.join('; ') } : null,
  }
}

/** Latency with one chunk at a time, throughput with two. */
async function speed(backend: WebGpuBackend, config: Config, b: number, t: number, seconds: number): Promise<Record<string, number>> {
  const program = recordModel(config, { b, t, pixels: 'u8', recent: 'all', encoded: false })
  const start = performance.now()
  const replay = await backend.prepare(program)
  const prepared = performance.now() - start
  const state = await backend.createState(program.states)
  const next = noise(7)
  const pixels = Uint8Array.from({ length: sizeOf(program.pixels.shape) }, () => 128 + 127 * next())
  let frame = 0
  const run = () => replay.run(state, (frame += t) - t, pixels)
  const first = performance.now()
  await run()
  const warmed = performance.now() - first
  await run()
  const times: number[] = []
  for (const begin = performance.now(); times.length < 5 || performance.now() - begin < 1000 * seconds;) {
    const at = performance.now()
    await run()
    times.push(performance.now() - at)
  }
  let chunks = 0
  let under = run()
  const begin = performance.now()
  while (chunks < 5 || performance.now() - begin < 1000 * seconds) {
    const following = run()
    await under
    under = following
    chunks++
  }
  await under
  const throughput = (1000 * b * t * (chunks + 1)) / (performance.now() - begin)
  state.dispose()
  replay.dispose()
  const flops = program.steps.reduce((sum, step) => sum + flopsOf(step), 0)
  return { 'p50 ms': median(times), 'p95 ms': quantile(times, 0.95), 'frames/s': throughput, 'TFLOP/s': (flops * throughput) / (b * t) / 1e12, steps: program.steps.length, 'prepare ms': prepared, 'first ms': warmed }
}

/** Time of the steps of a kind together in a program of one frame; `watch` gives each a pass of its own. */
async function operations(backend: WebGpuBackend, config: Config): Promise<Table['rows']> {
  const program = recordModel(config, { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false })
  const replay = await backend.prepare(program)
  const state = await backend.createState(program.states)
  const pixels = new Uint8Array(sizeOf(program.pixels.shape))
  const kinds = new Map<string, { steps: Set<Step>; runs: number[] }>()
  for (let run = 0; run < PROFILED; run++) {
    await replay.run(state, run, pixels, (step, milliseconds) => {
      const kind = kinds.get(kindOf(step)) ?? { steps: new Set(), runs: new Array<number>(PROFILED).fill(0) }
      kinds.set(kindOf(step), kind)
      kind.steps.add(step)
      kind.runs[run]! += milliseconds
    })
  }
  state.dispose()
  replay.dispose()
  const rows = [...kinds].map(([operation, { steps, runs }]) => ({ operation, steps: steps.size, ms: median(runs), flops: [...steps].reduce((sum, step) => sum + flopsOf(step), 0) }))
  const total = rows.reduce((sum, { ms }) => sum + ms, 0)
  return rows.sort((one, other) => other.ms - one.ms).map(({ flops, ...row }) => ({ ...row, 'share %': (100 * row.ms) / total, ...(flops > 0 && { 'TFLOP/s': flops / row.ms / 1e9 }) }))
}
