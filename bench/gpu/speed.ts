/**
 * Measures a stream on a GPU: latency, throughput, chunks (frame.ts measures single steps), for
 * each set of Dawn's toggles and each number format of the matrices, without matrix units and with
 * them.
 * --size B --seconds 1
 * --toggles "disable_workgroup_init disable_workgroup_init,disable_robustness"
 */
import type { MatrixDType } from '../../src/backend/backend.ts'
import { choose } from '../../src/backend/webgpu/matrix.ts'
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.ts'
import { type Options, settingsOf } from '../../src/bench/lib/options.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import { median, quantile } from '../../src/bench/lib/stats.ts'
import { noise, randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { type Config, configOf, type Size } from '../../src/model/config.ts'
import { recordModel } from '../../src/model/graph.ts'
import { loadWeights } from '../../src/model/load.ts'
import { weightTable } from '../../src/model/weights.ts'
import { flopsOf } from '../../src/program/listing.ts'
import { sizeOf } from '../../src/program/program.ts'
import { Gpu } from './gpu.ts'

/** Number formats of matrices, without matrix units and with them. */
const VARIANTS = [false, true].flatMap((units) =>
  (['f32', 'f16', 'int8'] as const).map((dtype) => ({ dtype, units })),
)

/** Batch size and frames of a chunk: a live stream, many live streams, a file. */
const SHAPES = [
  [1, 1],
  [4, 1],
  [8, 1],
  [32, 1],
  [1, 16],
] as const

const defaults = {
  size: 'B',
  seconds: 1,
  toggles: 'disable_workgroup_init disable_workgroup_init,disable_robustness,skip_validation',
}

export async function bench(options: Options): Promise<Report> {
  const { size: sizes, seconds, toggles } = settingsOf(options, defaults)
  const frames: Record<string, string | number>[] = []
  const faults: string[] = []
  let facts: Report['facts'] = {}
  for (const set of toggles.split(' ')) {
    for (const size of sizes.split(',') as Size[]) {
      for (const { dtype, units } of VARIANTS) {
        const label = `${size} ${dtype}${units ? ' by matrix units' : ''}, ${set}`
        try {
          const gpu = await Gpu.open(set, units)
          const { device, adapter } = gpu
          // The tests compare results. Here a GPU without matrix units is no fault.
          const chosen = units ? await choose(device, adapter, dtype, async () => null) : null
          if (chosen?.reason) {
            console.log(`${label}: ${chosen.reason}`)
            continue
          }
          facts = gpu.facts
          const config = configOf(size)
          const start = performance.now()
          const backend = await WebGpuBackend.create(device, weightTable(config, dtype), dtype, {
            ...{ wgsl: gpu.wgsl },
            ...chosen,
          })
          await loadWeights(randomCheckpoint(config, 1), config, backend, { dtype })
          await device.queue.onSubmittedWorkDone()
          const loaded = performance.now() - start
          for (const [b, t] of SHAPES)
            frames.push({
              label,
              b,
              t,
              'load ms': loaded,
              ...(await speed(backend, config, dtype, b, t, seconds)),
            })
          backend.dispose()
          device.destroy()
        } catch (error) {
          faults.push(`${label}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
    }
  }
  return {
    bench: 'gpu',
    facts,
    tables: [
      {
        title:
          'Frames of streams; p50 and p95 of one chunk from pixels to logits, ' +
          'frames a second with two chunks under way',
        rows: frames,
      },
    ],
    verdict: faults.length ? { holds: false, text: faults.join('; ') } : null,
  }
}

/** Measures latency with one chunk at a time, and throughput with two. */
async function speed(
  backend: WebGpuBackend,
  config: Config,
  dtype: MatrixDType,
  b: number,
  t: number,
  seconds: number,
): Promise<Record<string, number>> {
  const options = { b, t, pixels: 'u8', recent: 'all', encoded: false } as const
  const program = recordModel(config, { ...options, dtype })
  const start = performance.now()
  const replay = await backend.prepare(program)
  const prepared = performance.now() - start
  const state = await backend.createState(program.states)
  const next = noise(7)
  const pixels = Uint8Array.from(
    { length: sizeOf(program.inputs['pixels']!.shape) },
    () => 128 + 127 * next(),
  )
  let frame = 0
  const run = () => replay.run(state, (frame += t) - t, { pixels })
  const first = performance.now()
  await run()
  const warmed = performance.now() - first
  await run()
  const times: number[] = []
  for (
    const begin = performance.now();
    times.length < 5 || performance.now() - begin < 1000 * seconds;
  ) {
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
  return {
    'p50 ms': median(times),
    'p95 ms': quantile(times, 0.95),
    'frames/s': throughput,
    'TFLOP/s': (flops * throughput) / (b * t) / 1e12,
    steps: program.steps.length,
    'prepare ms': prepared,
    'first ms': warmed,
  }
}
