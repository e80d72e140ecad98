/**
 * onnxruntime against this runtime: the same weights and frames, one step a frame with carried state, in turn in one process.
 * --peer web|node --size B --rounds 15 (more for smaller sizes) --threads 1 (of both) --build simd --dtype f32 --attention fused|plain --most 1
 */
import type { MatrixDType } from '../../src/backend/backend.ts'
import type { Build } from '../../src/backend/wasm/builds.ts'
import { TrecvitError } from '../../src/error.ts'
import { configOf, type Size } from '../../src/model/config.ts'
import { createEngine, machine, randomFrame } from '../../src/bench/lib/engine.ts'
import { settingsOf, type Options } from '../../src/bench/lib/options.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import { median, quantile, time, warm, type Sample } from '../../src/bench/lib/stats.ts'
import { collectWeights, randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { writeStep, type Attention } from '../onnx/step.ts'
import { Peer, type Runtime } from './peer.ts'

const SEED = 1
/** Frames whose logits are compared before anything is timed, and how far they may lie apart, relative to the largest. */
const COMPARED = 8
const MAX_DIFFERENCE = 1e-4
/** Enough for a steady median: more of the small and fast. */
const ROUNDS: Partial<Record<Size, number>> = { Ti: 100, S: 40, B: 15 }

/** Checks that both give the same logits, then times them with as many threads; fails when they do not, or when ours takes longer. */
export async function bench(options: Options): Promise<Report> {
  const { threads, ...settings } = settingsOf(options, { peer: 'web', size: 'B', rounds: 0, threads: 1, build: 'simd', dtype: 'f32', attention: 'fused', most: '1' })
  const size = settings.size as Size
  const rounds = settings.rounds || (ROUNDS[size] ?? 15)
  const attention = settings.attention as Attention
  if (attention !== 'fused' && attention !== 'plain') throw new TrecvitError(`"--attention" expected fused or plain, got ${settings.attention}`)
  const runtime: Runtime = settings.peer === 'node' ? 'onnxruntime-node' : 'onnxruntime-web'
  const most = Number(settings.most)
  // Matrices of whole numbers are another model, so only the times can be compared.
  const tolerance = settings.dtype === 'int8' ? 1 : MAX_DIFFERENCE
  const config = configOf(size)

  const engine = await createEngine(config, SEED, { threads, build: settings.build as Build, dtype: settings.dtype as MatrixDType })
  const step = writeStep(config, await collectWeights(randomCheckpoint(config, SEED), config), attention)
  const peer = await Peer.create(runtime, step, threads)
  const frames = Array.from({ length: COMPARED }, (_, index) => randomFrame(config, index))
  let difference = 0
  for (const frame of frames) difference = Math.max(difference, distance((await engine.advance(frame))['logits']!, await peer.advance(frame)))

  const ours: Sample[] = []
  const theirs: Sample[] = []
  const sides = [[ours, (frame: Float32Array) => engine.advance(frame)], [theirs, (frame: Float32Array) => peer.advance(frame)]] as const
  for (const [, advance] of sides) await warm(() => advance(frames[0]!))
  for (let round = 0; round < rounds; round++) {
    // Who comes first changes, so that neither always finds the caches and the clock rate as the other leaves them.
    for (const [samples, advance] of round % 2 ? sides : sides.toReversed()) samples.push(await time(() => advance(frames[round % COMPARED]!)))
  }
  // Frame against frame: what else happens on the machine mostly meets both of a round.
  const ratio = median(ours.map(({ wall }, round) => wall / theirs[round]!.wall))
  const row = (runtime: string, samples: readonly Sample[]) => {
    const walls = samples.map(({ wall }) => wall)
    return { runtime, 'p50 ms': median(walls), 'p95 ms': quantile(walls, 0.95), 'min ms': Math.min(...walls), 'cpu ms': median(samples.map(({ cpu }) => cpu)), fps: 1000 / median(walls) }
  }
  const fits = difference <= tolerance
  return {
    bench: runtime, facts: { ...machine(engine.backend.device), size, rounds, dtype: settings.dtype, [runtime]: peer.version, 'its attention': attention },
    tables: [{ title: `A frame of a stream, batch 1, t = 1, in turn (logits of ${COMPARED} frames within ${difference.toExponential(1)} of each other)`, rows: [{ ...row('trecvit', ours), 'ours / theirs': ratio }, row(runtime, theirs)] }],
    verdict: {
      holds: fits && ratio <= most,
      text: fits
        ? `a frame of ${size} takes ${ratio.toFixed(3)} times as long as with ${runtime} (at most ${most})`
        : `the logits differ by ${difference.toExponential(1)} of the largest (at most ${tolerance}), so the times mean nothing`,
    },
  }
}

/** Largest difference of two lists, relative to the largest number of the first. */
function distance(one: Float32Array, other: Float32Array): number {
  const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return one.reduce((most, value, index) => Math.max(most, Math.abs(value - other[index]!)), 0) / largest
}
