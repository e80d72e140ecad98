/** Learns camera motion from random parameters, with a small model and the library's trainer. */
import { initialise, Trainer } from '../../src/train/index.ts'
import { startWithFilters } from './filters.ts'
import { batchOf, heldOut, SMALL } from './small.ts'
import { StreamSource } from './stream.ts'

/** Scenes that are kept. A new one takes the place of the oldest after as many clips. */
const SCENES = 64

/** What is learnt, and how. */
export interface ScratchOptions {
  readonly steps: number
  /** Clips of a step, a multiple of 10. */
  readonly batch: number
  /** Largest learning rate. */
  readonly peak: number
  readonly seed: number
  readonly threads: number
  /** Whether the official start is kept, without filters. */
  readonly random: boolean
  /** Whether pictures have blur, noise, compression and moving subjects. */
  readonly hard: boolean
}

/** The defaults: about eight minutes of one core. */
export const DEFAULTS: ScratchOptions = {
  steps: 3000,
  batch: 20,
  peak: 2e-3,
  seed: 1,
  threads: 2,
  random: false,
  hard: false,
}

/** What the last 100 steps showed. */
export interface Progress {
  readonly step: number
  /** Frames so far. */
  readonly frames: number
  readonly loss: number
  /** Share of the clips that were named rightly before they were learnt from. */
  readonly accuracy: number
  /** Share of 500 held-out clips, after each 500 steps. */
  readonly heldOut?: number
}

/** Trains, and reports after each 100 steps. */
export async function* learn(options: ScratchOptions): AsyncGenerator<Progress, void> {
  const { steps, batch, peak, seed, threads } = options
  const random = initialise(SMALL, seed)
  const trainer = await Trainer.create(
    SMALL,
    options.random ? random : startWithFilters(random, SMALL, seed),
    { schedule: { peak, warmup: 50, steps }, labelSmoothing: 0.05, threads },
  )
  const view = { view: SMALL.imageSize[0], plain: !options.hard }
  const source = new StreamSource(seed, { ...view, perScene: SCENES, scenes: SCENES })
  const held = heldOut(view)
  let [loss, right, count] = [0, 0, 0]
  for (let step = 1; step <= steps; step++) {
    const { frames, targets } = batchOf(source, batch)
    const result = await trainer.step({ frames, targets })
    loss += result.loss
    for (const [i, label] of targets.entries()) {
      const row = result.logits.data.subarray(10 * i, 10 * i + 10)
      right += +(row[label]! === Math.max(...row))
    }
    count += batch
    if (step % 100 && step < steps) continue
    const evaluates = step % 500 === 0 || step === steps
    yield {
      step,
      frames: step * batch * SMALL.framesPerClip,
      loss: loss / (count / batch),
      accuracy: right / count,
      ...(evaluates && { heldOut: (await trainer.evaluate(held, { batch: 20 })).top1 }),
    }
    ;[loss, right, count] = [0, 0, 0]
  }
  await trainer.dispose()
}

/** Names of the columns of {@link rowOf}. */
export const COLUMNS = 'step,frames,loss,accuracy,held_out'

/** Returns a line of CSV. */
export function rowOf({ step, frames, loss, accuracy, heldOut }: Progress): string {
  return [step, frames, loss.toFixed(4), accuracy.toFixed(4), heldOut?.toFixed(4) ?? ''].join(',')
}
