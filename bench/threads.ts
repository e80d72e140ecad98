/**
 * Measures a frame of a stream, batch size 1, with one thread and with more, alternating. Options:
 * --size small,Ti,S,B --threads 2 --seconds 20
 */

import { TrecvitError } from '../src/base/error.ts'
import { machineFacts } from '../src/bench/lib/machineFacts.ts'
import { type Options, settingsOf } from '../src/bench/lib/options.ts'
import { createRandomModel, randomFrame } from '../src/bench/lib/randomModel.ts'
import type { Report } from '../src/bench/lib/report.ts'
import { median, type Sample, time, warm } from '../src/bench/lib/stats.ts'
import { type Config, configOf, type Size } from '../src/model/config.ts'

/** Least speed-up of two threads over one. */
const LEAST: Partial<Record<Size, number>> = { Ti: 1.7, B: 1.9 }

/** A model like the built-in one. */
const small: Config = configOf('mu', {
  width: 96,
  depth: 3,
  numHeads: 4,
  lruWidth: 96,
  mlpDim: 288,
  imageSize: [96, 96],
  repSize: 96,
  numClasses: 12,
})

/**
 * For each size (`small` is like the built-in model) reports the time of a frame and the speed-up.
 * Fails if the speed-up of two threads is too small.
 */
export async function bench(options: Options): Promise<Report> {
  const {
    size: sizes,
    threads,
    seconds,
  } = settingsOf(options, { size: 'small,Ti,S,B', threads: 2, seconds: 20 })
  if (threads < 2)
    throw new TrecvitError('"--threads" expected at least 2, which are compared with 1')
  const rows: Record<string, string | number>[] = []
  const missed: string[] = []
  let facts = {}
  for (const size of sizes.split(',')) {
    const config = size === 'small' ? small : configOf(size as Size)
    const models = [
      await createRandomModel(config, 1),
      await createRandomModel(config, 1, { threads }),
    ]
    const pixels = randomFrame(config, 0)
    const samples: [Sample[], Sample[]] = [[], []]
    for (const model of models) await warm(() => model.advance(pixels))
    for (
      let [round, start] = [0, performance.now()];
      round < 5 || performance.now() - start < 1000 * seconds;
      round++
    ) {
      for (const which of round % 2 ? [0, 1] : [1, 0])
        samples[which]!.push(await time(() => models[which]!.advance(pixels)))
    }
    // Ratios are taken within a round: other load on the machine mostly affects both frames of a
    // round.
    const faster = median(samples[0].map(({ wall }, round) => wall / samples[1][round]!.wall))
    const of = (which: 0 | 1) => ({
      ms: median(samples[which].map(({ wall }) => wall)),
      'cpu ms': median(samples[which].map(({ cpu }) => cpu)),
    })
    rows.push(
      { size, threads: 1, ...of(0) },
      { size, threads, ...of(1), faster, frames: samples[1].length },
    )
    if (threads === 2 && faster < (LEAST[size as Size] ?? 1))
      missed.push(`${size} ${faster.toFixed(2)} times`)
    facts = machineFacts(models[1]!.backend.device)
    for (const model of models) model.backend.dispose()
  }
  return {
    bench: 'threads',
    facts,
    tables: [{ title: 'A frame of a stream, batch 1, t = 1, alternating', rows }],
    verdict:
      threads === 2
        ? {
            holds: !missed.length,
            text: missed.length
              ? `the speed-up of two threads is too small: ${missed.join(', ')}`
              : 'the speed-up of two threads is large enough',
          }
        : null,
  }
}
