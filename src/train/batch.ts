import { checkArray, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { Config } from '../model/config.ts'
import { type Carried, joinVideos, splitVideos } from './carried.ts'
import type { UpdateResult } from './optimizer.ts'
import { divide, type Part, take } from './parts.ts'
import { type ClassifierTraining, type ClipInput, recordClassifierStep } from './program.ts'

/** b clips of t frames. */
export type Clips =
  | {
      /** [b, t, H, W, 3], bytes. */
      readonly frames: NdArray<Uint8Array>
    }
  | {
      /** [b, t, d], from `Trainer.features`. */
      readonly features: NdArray<Float32Array>
    }

/** Clips with their targets. */
export type Batch = Clips & {
  /** The class of each clip, or the target probabilities [b, c]. */
  readonly targets: readonly number[] | NdArray<Float32Array>
}

/** Result of a step. */
export interface StepResult extends UpdateResult {
  /** `[b, c]`, before the update. */
  readonly logits: NdArray<Float32Array>
}

/**
 * Checks clips.
 * @returns their number and frames, and the input of the program that they are
 * @throws TrecvitError if they do not fit the model
 */
export function checkClips(
  { imageSize, width }: Config,
  clips: Clips,
): { b: number; t: number; from: ClipInput; input: Uint8Array | Float32Array } {
  const isFrames = 'frames' in clips
  const name = isFrames ? 'frames' : 'features'
  const array = isFrames ? clips.frames : clips.features
  const input = checkArray(name, array)
  const [b = 0, t = 0, ...rest] = array.shape
  const expected = isFrames ? [...imageSize, 3] : [width]
  const fits = String(rest) === String(expected) && input instanceof Uint8Array === isFrames
  if (b < 1 || t < 1 || !fits)
    throw new TrecvitError(
      `"${name}" expected ${isFrames ? 'bytes' : 'float32'} of shape [b,t,${expected}], got ` +
        `${input.constructor.name} [${array.shape}]`,
    )
  return { b, t, from: isFrames ? 'pixels' : 'head_input', input }
}

/** States of the videos of a stream, null before the first chunk of a video. */
export type VideoStates = (Carried | null)[]

/** How batches are divided into parts. */
interface PartOptions {
  readonly labelSmoothing: number | undefined
  /** Largest number of clips of a part. */
  readonly microBatch: number | undefined
  /** Of the videos that the only batch continues. They are replaced after the update. */
  readonly states?: VideoStates
}

/**
 * Returns the parts of an update with some batches, and the indices of the clips of each part among
 * all clips.
 * @throws TrecvitError if a batch does not fit the model
 */
export function partsOf(
  training: ClassifierTraining,
  batches: readonly Batch[],
  { labelSmoothing, microBatch, states }: PartOptions,
): { readonly parts: Part[]; readonly clips: number[][] } {
  const { config } = training
  const checked = batches.map((batch) => ({ ...checkClips(config, batch), batch }))
  const total = checked.reduce((sum, { b }) => sum + b, 0)
  const parts: Part[] = []
  const clips: number[][] = []
  let first = 0
  for (const { b, t, from, input, batch } of checked) {
    const targets = targetsOf(config, batch.targets, b, total, labelSmoothing)
    const all = Array.from({ length: b }, (_, video) => video)
    const begins = all.filter((video) => !states?.[video])
    const continues = all.filter((video) => states?.[video])
    for (const videos of [begins, continues].flatMap((group) => divide(group, microBatch))) {
      const size = { b: videos.length, t, continues: !!states?.[videos[0]!] }
      parts.push({
        key: `${from} ${size.b} ${t}${size.continues ? ' continued' : ''}`,
        size,
        record: (use, { b, recompute } = { b: size.b, recompute: training.recompute ?? 'none' }) =>
          recordClassifierStep({ ...training, recompute }, { ...size, b }, from, use),
        inputs: { [from]: take(input, b, videos), targets: take(targets, b, videos) },
        ...(states && chunkOf(states, videos)),
      })
      clips.push(videos.map((video) => first + video))
    }
    first += b
  }
  return { parts, clips }
}

/** Returns the states of some videos before a chunk, and what keeps those after it. */
function chunkOf(states: VideoStates, videos: readonly number[]): Pick<Part, 'before' | 'keep'> {
  const before = videos.map((video) => states[video]).filter((state) => !!state)
  return {
    ...(before.length > 0 && { before: joinVideos(before) }),
    keep(after) {
      for (const [index, state] of splitVideos(after, videos.length).entries())
        states[videos[index]!] = state
    },
  }
}

/**
 * Returns the targets [b, c] of a program: probabilities, divided by the number of all clips.
 * @throws TrecvitError if they do not fit the model or the clips
 */
function targetsOf(
  { numClasses: c }: Config,
  targets: Batch['targets'],
  b: number,
  total: number,
  labelSmoothing: number = SMOOTHING,
): Float32Array {
  if ('data' in targets) {
    if (String(targets.shape) !== String([b, c]))
      throw new TrecvitError(`"targets" expected shape [${[b, c]}], got [${targets.shape}]`)
    return targets.data.map((value) => value / total)
  }
  if (targets.length !== b)
    throw new TrecvitError(`"targets" expected ${b} classes, got ${targets.length}`)
  const values = new Float32Array(b * c).fill(labelSmoothing / c / total)
  for (const [video, label] of targets.entries()) {
    if (!(Number.isInteger(label) && label >= 0 && label < c))
      throw new TrecvitError(`"targets" expected classes from 0 to ${c - 1}, got ${label}`)
    values[video * c + label]! += (1 - labelSmoothing) / total
  }
  return values
}

/** Label smoothing of the published recipe. */
const SMOOTHING = 0.1
