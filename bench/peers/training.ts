/**
 * Measures a training step (forward, backward, AdamW) relative to its forward pass, and to a
 * training step of another runtime: same weights and clip, batch 1, alternating.
 * --peer none|torch|jax-js --size Ti,S --frames 16 --rounds 5 --threads 1 (of both)
 * --build simd,relaxed,wide-relaxed
 */
import type { Build } from '../../src/backend/wasm/builds.ts'
import { TrecvitError } from '../../src/base/error.ts'
import { machineFacts } from '../../src/bench/lib/machineFacts.ts'
import { type Options, oneOf, settingsOf, sizesOf } from '../../src/bench/lib/options.ts'
import { buildOf } from '../../src/bench/lib/randomModel.ts'
import type { Report, Table } from '../../src/bench/lib/report.ts'
import { median, type Sample, time } from '../../src/bench/lib/stats.ts'
import { noise, randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { configOf, frameSizeOf, type Size } from '../../src/model/config.ts'
import { collectWeights } from '../../src/onnx/weights.ts'
import { sizeOf } from '../../src/program/program.ts'
import { openTrainingCpu, Trainer } from '../../src/train/index.ts'
import type { PeerStep, Training, TrainingPeer } from './trainingPeer.ts'

const SEED = 1
const LEARNING_RATE = 1e-4
const WEIGHT_DECAY = 0.03
/** Steps that are compared before anything is timed, and the largest difference of losses. */
const COMPARED = 3
const MAX_DIFFERENCE = 1e-4
/** Sizes with bounds. */
const BOUNDED: readonly Size[] = ['Ti', 'S']
/** Largest time of a step, relative to its forward pass. */
const MOST_FORWARD = 3.3
/** Columns of relative times. */
const OF_FORWARD = 'step / forward'
const OF_PEER = 'ours / theirs'

interface Kind {
  /** Largest time of our step, relative to that of the peer. */
  most(build: Build): number
  open(training: Training, threads: number): Promise<TrainingPeer>
}

const peers: Readonly<Record<string, Kind | null>> = {
  none: null,
  torch: {
    most: (build) => ({ relaxed: 1.7, 'wide-relaxed': 1 })[build as string] ?? Infinity,
    open: async (training, threads) =>
      (await import('./torchStep.ts')).openTorch(training, threads),
  },
  'jax-js': {
    most: () => 0.6,
    open: async (training) =>
      (await import('./jaxStep.ts')).openJaxStep(
        training,
        await collectWeights(randomCheckpoint(training.config, SEED), training.config),
      ),
  },
}

/** A runtime that trains. */
interface Side {
  readonly name: string
  /** A forward pass alone; of ours. */
  forward?(): Promise<unknown>
  step(): Promise<PeerStep>
  dispose(): unknown
}

/** Times of a runtime. */
interface Timed {
  readonly name: string
  readonly forward?: Sample[]
  readonly step: Sample[]
}

/** A row of the report. */
type Row = {
  readonly runtime: string
  readonly pass: string
  readonly ms: number
  readonly 'cpu ms': number
  readonly [OF_FORWARD]?: number
  readonly [OF_PEER]?: number
}

/** Fails if losses or gradients differ, or if a relative time of Ti or S exceeds its bound. */
export async function bench(options: Options): Promise<Report> {
  const settings = settingsOf(options, {
    peer: 'none',
    size: 'Ti,S',
    frames: 16,
    rounds: 5,
    threads: 1,
    build: 'simd',
  })
  const { frames, rounds, threads } = settings
  const peerName = oneOf('peer', settings.peer, Object.keys(peers))
  const kind = peers[peerName]
  const builds = await Promise.all(settings.build.split(',').map((name) => buildOf(name)))
  const tables: Table[] = []
  const missed: string[] = []
  let version: string | undefined
  for (const size of sizesOf(settings.size)) {
    const training = await trainingOf(size, frames)
    const sides: Side[] = []
    try {
      for (const build of builds) sides.push(await openOurs(training, build, threads))
      const peer = await kind?.open(training, threads)
      if (peer) sides.push({ name: peerName, ...peer })
      version = peer?.version
      const difference = await compareSteps(sides, peer?.updates === false ? 1 : COMPARED)
      const rows = rowsOf(await takeTurns(sides, rounds))
      const agreed = `losses and norms of gradients within ${difference.toExponential(1)}`
      tables.push({
        title:
          `${size}, batch 1, ${frames} frames, alternating, ${rounds} rounds` +
          (sides.length > 1 ? ` (${agreed} of each other)` : ''),
        rows,
      })
      if (!BOUNDED.includes(size)) continue
      for (const row of rows) {
        const most = kind?.most(row.runtime as Build) ?? Infinity
        if (row[OF_FORWARD]! > MOST_FORWARD)
          missed.push(`${size}, ${row.runtime}: ${row[OF_FORWARD]!.toFixed(2)} forward passes`)
        if (row[OF_PEER]! > most)
          missed.push(`${size}, ${row.runtime}: ${row[OF_PEER]!.toFixed(2)} of ${peerName}`)
      }
    } finally {
      for (const side of sides) await side.dispose()
    }
  }
  return {
    bench: 'training',
    facts: {
      ...machineFacts({ kernels: builds.join(' and '), threads }),
      ...(version && { [peerName]: version }),
    },
    tables,
    verdict: {
      holds: !missed.length,
      text: missed.length
        ? `the relative time of a step is too large: ${missed.join('; ')}`
        : 'the relative times of a step are within their bounds',
    },
  }
}

/** Returns random parameters and a random clip. */
async function trainingOf(size: Size, count: number): Promise<Training> {
  const config = configOf(size)
  const checkpoint = randomCheckpoint(config, SEED)
  const parameters = new Map<string, Float32Array>()
  for (const { name, shape } of checkpoint.tensors.values()) {
    const values = new Float32Array(sizeOf(shape))
    await checkpoint.read(name, async (part, at) => values.set(part, at))
    parameters.set(name, values)
  }
  const next = noise(SEED)
  const frames = Array.from({ length: count }, () =>
    Uint8Array.from({ length: frameSizeOf(config) }, () => 127.5 + 127.5 * next()),
  )
  return {
    ...{ config, parameters, frames, label: 7 },
    ...{ learningRate: LEARNING_RATE, weightDecay: WEIGHT_DECAY },
  }
}

/** Opens our trainer. */
async function openOurs(training: Training, build: Build, threads: number): Promise<Side> {
  const { config, parameters, frames, label, learningRate, weightDecay } = training
  const trainer = await Trainer.create(config, parameters, {
    schedule: { peak: learningRate, end: learningRate, warmup: 0, steps: 1 },
    ...{ weightDecay, clip: 0, labelSmoothing: 0 },
    open: (weights) => openTrainingCpu(weights, build, { threads }),
  })
  const data = new Uint8Array(await new Blob(frames as Uint8Array<ArrayBuffer>[]).arrayBuffer())
  const clips = { frames: { data, shape: [1, frames.length, ...config.imageSize, 3] } }
  return {
    name: build,
    forward: () => trainer.classify(clips),
    step: () => trainer.step({ ...clips, targets: [label] }),
    dispose: () => trainer.dispose(),
  }
}

/**
 * Makes steps in all runtimes.
 * @returns the largest difference of their losses, and of the norms of their gradients, relative to
 * those of the first runtime
 * @throws TrecvitError if it is too large
 */
async function compareSteps(sides: readonly Side[], count: number): Promise<number> {
  let largest = 0
  for (let step = 1; step <= count; step++) {
    const results: PeerStep[] = []
    for (const side of sides) results.push(await side.step())
    for (const key of ['loss', 'gradientNorm'] as const) {
      const values = results.flatMap((result) => result[key] ?? [])
      for (const value of values) largest = Math.max(largest, Math.abs(value / values[0]! - 1))
      if (!(largest <= MAX_DIFFERENCE))
        throw new TrecvitError(
          `"${key}" of step ${step} is ${values.join(', ')}: these differ by more than ` +
            `${MAX_DIFFERENCE}, so the times cannot be compared`,
        )
    }
  }
  return largest
}

/** Times forward passes and steps alternately. */
async function takeTurns(sides: readonly Side[], rounds: number): Promise<Timed[]> {
  const timed = sides.map((side) => ({
    name: side.name,
    ...(side.forward && { forward: [] as Sample[] }),
    step: [] as Sample[],
  }))
  // Their programs are prepared.
  for (const side of sides) await side.forward?.()
  for (let round = 0; round < rounds; round++) {
    // The order alternates, so that all see the same clock rate.
    const order = [...sides.keys()]
    for (const index of round % 2 ? order : order.toReversed()) {
      const side = sides[index]!
      const { forward, step } = timed[index]!
      if (side.forward) forward!.push(await time(side.forward))
      let cpu: number | undefined
      const sample = await time(async () => {
        ;({ cpu } = await side.step())
      })
      step.push({ wall: sample.wall, cpu: cpu ?? sample.cpu })
    }
  }
  return timed
}

/** Returns a row for each runtime and pass. The peer, if there is one, comes last. */
function rowsOf(timed: readonly Timed[]): Row[] {
  const last = timed.at(-1)!
  const theirs = last.forward ? undefined : last.step
  return timed.flatMap(({ name: runtime, forward, step }) => [
    ...(forward ? [{ runtime, pass: 'forward', ...millisecondsOf(forward) }] : []),
    {
      ...{ runtime, pass: 'step', ...millisecondsOf(step) },
      ...(forward && { [OF_FORWARD]: ratioOf(step, forward) }),
      ...(forward && theirs && { [OF_PEER]: ratioOf(step, theirs) }),
    },
  ])
}

/** Ratios are taken within a round: other load mostly affects both of a round. */
function ratioOf(ours: readonly Sample[], theirs: readonly Sample[]): number {
  return median(ours.map(({ wall }, round) => wall / theirs[round]!.wall))
}

function millisecondsOf(samples: readonly Sample[]): Record<'ms' | 'cpu ms', number> {
  return {
    ms: median(samples.map(({ wall }) => wall)),
    'cpu ms': median(samples.map(({ cpu }) => cpu)),
  }
}
