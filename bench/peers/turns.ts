import type { MatrixDType } from '../../src/backend/backend.ts'
import type { Build } from '../../src/backend/wasm/builds.ts'
import { type Monitor, shouldContinue } from '../../src/bench/lib/bench.ts'
import { machineFacts } from '../../src/bench/lib/machineFacts.ts'
import { createRandomModel, randomFrame } from '../../src/bench/lib/randomModel.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import { median, quantile, type Sample, time, warm } from '../../src/bench/lib/stats.ts'
import { randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { type Config, configOf, type Size } from '../../src/model/config.ts'
import { collectWeights, type Weights } from '../../src/onnx/weights.ts'
import type { Peer } from './peer.ts'

const SEED = 1
/**
 * Number of frames whose logits are compared before anything is timed, and their largest
 * difference, relative to the largest logit.
 */
const COMPARED = 8
const MAX_DIFFERENCE = 1e-4
/** The same for int8: each runtime rounds the rows in its own way. */
const INT8_DIFFERENCE = 0.1
/** Rounds that give a stable median: more for smaller sizes. */
const ROUNDS: Partial<Record<Size, number>> = { Ti: 100, S: 40, B: 15 }

/** Options of a comparison. */
export interface Turns {
  readonly size: Size
  /** Number of rounds. By default as many as give a stable median. */
  readonly rounds?: number
  readonly threads: number
  readonly build: Build
  /** Number format of the matrices. */
  readonly dtype: MatrixDType
  /** Largest relative time of one of our frames. */
  readonly most: number
}

/**
 * Compares a peer with this runtime: same weights and frames, one step per frame with carried
 * state. Checks that both give the same logits, then times them alternately with the same number of
 * threads. The verdict is whether the logits agree, and whether our relative time is within its
 * bound.
 * @param name name of the peer, for the report
 * @param open makes the peer with these weights
 */
export async function takeTurns(
  name: string,
  { size, threads, build, dtype, most, ...more }: Turns,
  open: (config: Config, weights: Weights) => Promise<Peer>,
  monitor: Monitor,
): Promise<Report> {
  const rounds = more.rounds ?? ROUNDS[size] ?? 15
  const config = configOf(size)
  const tolerance = dtype === 'int8' ? INT8_DIFFERENCE : MAX_DIFFERENCE
  const model = await createRandomModel(config, SEED, { threads, build, dtype })
  const peer = await open(config, await collectWeights(randomCheckpoint(config, SEED), config))
  const frames = Array.from({ length: COMPARED }, (_, index) => randomFrame(config, index))
  let difference = 0
  for (const frame of frames)
    difference = Math.max(
      difference,
      distance((await model.advance(frame))['logits']!, await peer.advance(frame)),
    )

  const ours: Sample[] = []
  const theirs: Sample[] = []
  const sides = [
    [ours, (frame: Float32Array) => model.advance(frame)],
    [theirs, (frame: Float32Array) => peer.advance(frame)],
  ] as const
  for (const [, advance] of sides) await warm(() => advance(frames[0]!))
  for (let round = 0; round < rounds && (await shouldContinue(monitor, round / rounds)); round++) {
    // The order alternates, so that both see the same clock rate.
    for (const [samples, advance] of round % 2 ? sides : sides.toReversed()) {
      // One frame is not timed. It fills the caches, and lets the threads of the other runtime stop
      // spinning.
      await advance(frames[round % COMPARED]!)
      samples.push(await time(() => advance(frames[round % COMPARED]!)))
    }
  }
  model.backend.dispose()
  const fits = difference <= tolerance
  const facts = {
    ...machineFacts(model.backend.device),
    size,
    rounds: ours.length,
    dtype,
    [name]: peer.version,
  }
  if (!ours.length) return { bench: name, facts, tables: [], verdict: null }
  // Ratios are taken within a round: other load on the machine mostly affects both frames of a
  // round.
  const ratio = median(ours.map(({ wall }, round) => wall / theirs[round]!.wall))
  const row = (runtime: string, samples: readonly Sample[]) => {
    const walls = samples.map(({ wall }) => wall)
    return {
      runtime,
      'p50 ms': median(walls),
      'p95 ms': quantile(walls, 0.95),
      'min ms': Math.min(...walls),
      'cpu ms': median(samples.map(({ cpu }) => cpu)),
      fps: 1000 / median(walls),
    }
  }
  const rows = [{ ...row('trecvit', ours), 'ours / theirs': ratio }, row(name, theirs)]
  return {
    bench: name,
    facts,
    tables: [
      {
        title:
          `A frame of a stream of ${size}, batch 1, t = 1, ` +
          `alternating (logits of ${COMPARED} frames within ${difference.toExponential(1)} of ` +
          'each other)',
        rows,
      },
    ],
    ...(fits && {
      bars: rows.map(({ runtime, fps }) => ({ group: size, label: runtime, value: fps })),
    }),
    verdict: {
      holds: fits && ratio <= most,
      text: fits
        ? `relative time of a frame of ${size} against ${name}: ${ratio.toFixed(3)} (at most ` +
          `${most})`
        : `the logits differ by ${difference.toExponential(1)} of the largest (at most ` +
          `${tolerance}), so the times cannot be compared`,
    },
  }
}

/** Largest difference of two lists, relative to the largest number of the first. */
function distance(one: Float32Array, other: Float32Array): number {
  const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return (
    one.reduce((most, value, index) => Math.max(most, Math.abs(value - other[index]!)), 0) / largest
  )
}
