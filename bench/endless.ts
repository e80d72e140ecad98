/** A stream of 100,000 small frames: does it slow down, does memory grow? --frames 100000 */
import { configOf } from '../src/model/config.ts'
import { TRecViT } from '../src/model/trecvit.ts'
import { machine, randomFrame } from './lib/engine.ts'
import { memoryUse, watchMemories } from './lib/memory.ts'
import { settingsOf, type Options } from './lib/options.ts'
import type { Report } from './lib/report.ts'
import { median, quantile } from './lib/stats.ts'
import { checkpointBytes, randomCheckpoint } from './lib/weights.ts'

/** Frames that are compared at each end. */
const WINDOW = 1000
/** Frames of a stream before the one that is measured. */
const REHEARSED = 60_000
const MAX_RATIO = 1.05
const MAX_GROWTH = 10e6

/** The first thousand frames against the last; fails when these are slower, or memory has grown. */
export async function bench(options: Options): Promise<Report> {
  const settings = settingsOf(options, { frames: 100_000 })
  const frames = Math.max(2 * WINDOW, settings.frames)
  watchMemories()
  const config = configOf('mu', { depth: 2, imageSize: [32, 32], repSize: 64, numClasses: 10 })
  const model = await TRecViT.load(await checkpointBytes(randomCheckpoint(config, 1)), { device: 'wasm' })
  const pictures = Array.from({ length: 16 }, (_, index) => ({ data: randomFrame(config, index), shape: [...config.imageSize, 3] }))
  const times = new Float64Array(frames).fill(1)
  // Another stream first: code gets optimised, and the space that the engine keeps for garbage grows to its limit.
  const rehearsal = model.stream()
  for (let frame = 0; frame < REHEARSED; frame++) await rehearsal.push(pictures[frame % pictures.length]!)
  await rehearsal.dispose()

  const stream = model.stream()
  const run = async (from: number, to: number) => {
    for (let frame = from; frame < to; frame++) {
      const start = performance.now()
      await stream.push(pictures[frame % pictures.length]!)
      times[frame] = performance.now() - start
    }
  }
  await run(0, WINDOW)
  const before = await memoryUse()
  await run(WINDOW, frames)
  const after = await memoryUse()

  const first = [...times.subarray(0, WINDOW)]
  const last = [...times.subarray(frames - WINDOW)]
  const ratio = median(last) / median(first)
  const growth = { rss: after.rss - before.rss, heap: after.heap - before.heap, wasm: after.wasm - before.wasm }
  const largest = Math.max(growth.rss, growth.heap, growth.wasm)
  const micros = (samples: readonly number[]) => ({ 'p50 µs': 1000 * median(samples), 'p95 µs': 1000 * quantile(samples, 0.95) })
  return {
    bench: 'endless',
    facts: { ...machine(model.device), frames, seconds: Math.round(times.reduce((sum, time) => sum + time, 0) / 1000) },
    tables: [
      { title: 'Time of a frame', rows: [{ frames: `first ${WINDOW}`, ...micros(first) }, { frames: `last ${WINDOW}`, ...micros(last) }] },
      {
        title: `Memory in MB after frame ${WINDOW} and at the end`,
        rows: (['rss', 'heap', 'wasm'] as const).map((kind) => ({ memory: kind, before: before[kind] / 1e6, after: after[kind] / 1e6, growth: growth[kind] / 1e6 })),
      },
    ],
    verdict: {
      holds: ratio <= MAX_RATIO && largest <= MAX_GROWTH,
      text: `the last ${WINDOW} frames take ${ratio.toFixed(3)} times the first (at most ${MAX_RATIO}), memory grows by ${(largest / 1e6).toFixed(1)} MB (at most ${MAX_GROWTH / 1e6})`,
    },
  }
}
