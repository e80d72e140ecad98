/**
 * Measures a stream of 100,000 small frames: whether it slows down, and whether memory grows.
 * Option: --frames 100000
 */

import { machineFacts } from '../src/bench/lib/machineFacts.ts'
import { memoryUse, watchMemories } from '../src/bench/lib/memory.ts'
import { type Options, settingsOf } from '../src/bench/lib/options.ts'
import { randomFrame } from '../src/bench/lib/randomModel.ts'
import type { Report } from '../src/bench/lib/report.ts'
import { median, quantile } from '../src/bench/lib/stats.ts'
import { checkpointBytes, randomCheckpoint } from '../src/bench/lib/weights.ts'
import type { Stream } from '../src/index.ts'
import { configOf } from '../src/model/config.ts'
import { TRecViT } from '../src/model/trecvit.ts'

/** Number of frames that are compared at each end. */
const WINDOW = 1000
/** Frames of a warm-up stream before the measured one. */
const WARM_UP = 60_000
const MAX_RATIO = 1.05
const MAX_GROWTH = 10e6

/**
 * Compares the last thousand frames of a stream with the first thousand of a new one, alternating.
 * Fails if they are slower, or if memory has grown.
 */
export async function bench(options: Options): Promise<Report> {
  const settings = settingsOf(options, { frames: 100_000 })
  const frames = Math.max(2 * WINDOW, settings.frames)
  watchMemories()
  const config = configOf('mu', { depth: 2, imageSize: [32, 32], repSize: 64, numClasses: 10 })
  // One thread: with several, one sometimes sleeps at the end of such short steps, and a frame
  // takes 0.1 or 1 ms.
  const model = await TRecViT.load(await checkpointBytes(randomCheckpoint(config, 1)), {
    device: 'wasm',
    threads: 1,
  })
  const pictures = Array.from({ length: 16 }, (_, index) => ({
    data: randomFrame(config, index),
    shape: [...config.imageSize, 3],
  }))
  /** Pushes frame number `frame`. Returns the milliseconds that it takes. */
  const push = async (to: Stream, frame: number) => {
    const start = performance.now()
    await to.push(pictures[frame % pictures.length]!)
    return performance.now() - start
  }
  // A warm-up stream comes first: code is optimised, and the heap grows to its usual size.
  const warmUp = model.stream({ average: 'all' })
  for (let frame = 0; frame < WARM_UP; frame++) await push(warmUp, frame)
  await warmUp.dispose()

  const begin = performance.now()
  const stream = model.stream({ average: 'all' })
  const first: number[] = []
  for (let frame = 0; frame < WINDOW; frame++) first.push(await push(stream, frame))
  const before = await memoryUse()
  for (let frame = WINDOW; frame < frames - WINDOW; frame++) await push(stream, frame)
  // Frames of both streams alternate, so a change of the clock rate affects both.
  const freshStream = model.stream({ average: 'all' })
  const last: number[] = []
  const fresh: number[] = []
  for (let frame = 0; frame < WINDOW; frame++) {
    last.push(await push(stream, frames - WINDOW + frame))
    fresh.push(await push(freshStream, frame))
  }
  await freshStream.dispose()
  const after = await memoryUse()

  const ratio = median(last) / median(fresh)
  const growth = {
    rss: after.rss - before.rss,
    heap: after.heap - before.heap,
    wasm: after.wasm - before.wasm,
  }
  const largest = Math.max(growth.rss, growth.heap, growth.wasm)
  const micros = (samples: readonly number[]) => ({
    'p50 µs': 1000 * median(samples),
    'p95 µs': 1000 * quantile(samples, 0.95),
  })
  return {
    bench: 'endless',
    facts: {
      ...machineFacts(model.device),
      frames,
      seconds: Math.round((performance.now() - begin) / 1000),
    },
    tables: [
      {
        title: 'Time of a frame',
        rows: [
          { frames: `first ${WINDOW}`, ...micros(first) },
          { frames: `last ${WINDOW}`, ...micros(last) },
          { frames: `first ${WINDOW} of a new stream`, ...micros(fresh) },
        ],
      },
      {
        title: `Memory in MB after frame ${WINDOW} and at the end`,
        rows: (['rss', 'heap', 'wasm'] as const).map((kind) => ({
          memory: kind,
          before: before[kind] / 1e6,
          after: after[kind] / 1e6,
          growth: growth[kind] / 1e6,
        })),
      },
    ],
    verdict: {
      holds: ratio <= MAX_RATIO && largest <= MAX_GROWTH,
      text:
        `relative time of the last ${WINDOW} frames ${ratio.toFixed(3)} (at most ${MAX_RATIO}); ` +
        `memory grows by ${(largest / 1e6).toFixed(1)} MB (at most ${MAX_GROWTH / 1e6})`,
    },
  }
}
