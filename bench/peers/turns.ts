import type { MatrixDType } from '../../src/backend/backend.ts'
import type { Build } from '../../src/backend/wasm/builds.ts'
import { type Follow, goesOn } from '../../src/bench/lib/bench.ts'
import { createEngine, machine, randomFrame } from '../../src/bench/lib/engine.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import { median, quantile, type Sample, time, warm } from '../../src/bench/lib/stats.ts'
import { randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { type Config, configOf, type Size } from '../../src/model/config.ts'
import { collectWeights, type Weights } from '../../src/onnx/weights.ts'
import type { Peer } from './peer.ts'

const SEED = 1
/**
 * Frames whose logits are compared before anything is timed, and how far they may lie apart,
 * relative to the largest.
 */
const COMPARED = 8
const MAX_DIFFERENCE = 1e-4
/** Enough for a steady median: more of the small and fast. */
const ROUNDS: Partial<Record<Size, number>> = { Ti: 100, S: 40, B: 15 }

/** How both compute. */
export interface Turns {
  readonly size: Size
  /** Frames of each; as many as a steady median takes unless given. */
  readonly rounds?: number
  readonly threads: number
  readonly build: Build
  /** Of ours. */
  readonly dtype: MatrixDType
  /** How many times as long as theirs a frame of ours may take. */
  readonly most: number
}

/**
 * A peer against this runtime: the same weights and frames, one step a frame with carried state.
 * Checks that both give the same logits, then times them in turn with as many threads; the verdict
 * is that they do, and that ours does not take longer than it may.
 * @param name of the peer, for the report
 * @param open makes the peer with these weights
 */
export async function takeTurns(
  name: string,
  { size, threads, build, dtype, most, ...more }: Turns,
  open: (config: Config, weights: Weights) => Promise<Peer>,
  follow: Follow,
): Promise<Report> {
  const rounds = more.rounds ?? ROUNDS[size] ?? 15
  const config = configOf(size)
  // Matrices of whole numbers are another model, so only the times can be compared.
  const tolerance = dtype === 'int8' ? 1 : MAX_DIFFERENCE
  const engine = await createEngine(config, SEED, { threads, build, dtype })
  const peer = await open(config, await collectWeights(randomCheckpoint(config, SEED), config))
  const frames = Array.from({ length: COMPARED }, (_, index) => randomFrame(config, index))
  let difference = 0
  for (const frame of frames)
    difference = Math.max(
      difference,
      distance((await engine.advance(frame))['logits']!, await peer.advance(frame)),
    )

  const ours: Sample[] = []
  const theirs: Sample[] = []
  const sides = [
    [ours, (frame: Float32Array) => engine.advance(frame)],
    [theirs, (frame: Float32Array) => peer.advance(frame)],
  ] as const
  for (const [, advance] of sides) await warm(() => advance(frames[0]!))
  for (let round = 0; round < rounds && (await goesOn(follow, round / rounds)); round++) {
    // Who comes first changes, so that neither always finds the clock rate as the other leaves it.
    for (const [samples, advance] of round % 2 ? sides : sides.toReversed()) {
      // A frame untimed, so that each finds the caches as in a stream of its own, and no threads of
      // the other that still spin.
      await advance(frames[round % COMPARED]!)
      samples.push(await time(() => advance(frames[round % COMPARED]!)))
    }
  }
  engine.backend.dispose()
  const fits = difference <= tolerance
  const facts = {
    ...machine(engine.backend.device),
    size,
    rounds: ours.length,
    dtype,
    [name]: peer.version,
  }
  if (!ours.length) return { bench: name, facts, tables: [], verdict: null }
  // Frame against frame: what else happens on the machine mostly meets both of a round.
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
          `in turn (logits of ${COMPARED} frames within ${difference.toExponential(1)} of each ` +
          'other)',
        rows,
      },
    ],
    ...(fits && {
      bars: rows.map(({ runtime, fps }) => ({ group: size, label: runtime, value: fps })),
    }),
    verdict: {
      holds: fits && ratio <= most,
      text: fits
        ? `a frame of ${size} takes ${ratio.toFixed(3)} times as long as with ${name} (at most ` +
          `${most})`
        : `the logits differ by ${difference.toExponential(1)} of the largest (at most ` +
          `${tolerance}), so the times mean nothing`,
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
