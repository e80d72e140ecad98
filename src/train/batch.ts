import { checkArray, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { Config } from '../model/config.ts'
import type { UpdateResult } from './optimizer.ts'
import type { ClipInput } from './program.ts'

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

/**
 * Returns the targets [b, c] of a program: probabilities, divided by b.
 * @throws TrecvitError if they do not fit the model or the clips
 */
export function targetsOf(
  { numClasses: c }: Config,
  targets: Batch['targets'],
  b: number,
  labelSmoothing: number = SMOOTHING,
): Float32Array {
  if ('data' in targets) {
    if (String(targets.shape) !== String([b, c]))
      throw new TrecvitError(`"targets" expected shape [${[b, c]}], got [${targets.shape}]`)
    return targets.data.map((value) => value / b)
  }
  if (targets.length !== b)
    throw new TrecvitError(`"targets" expected ${b} classes, got ${targets.length}`)
  const values = new Float32Array(b * c).fill(labelSmoothing / c / b)
  for (const [video, label] of targets.entries()) {
    if (!(Number.isInteger(label) && label >= 0 && label < c))
      throw new TrecvitError(`"targets" expected classes from 0 to ${c - 1}, got ${label}`)
    values[video * c + label]! += (1 - labelSmoothing) / b
  }
  return values
}

/** Label smoothing of the published recipe. */
const SMOOTHING = 0.1
