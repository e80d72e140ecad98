import { checkCount, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { Batch, StepResult, VideoStates } from './batch.ts'

/** Chunks of frames of b videos, with their targets: one for each video. */
export interface ChunkBatch {
  /** [b, t, H, W, 3], bytes. */
  readonly frames: NdArray<Uint8Array>
  /** The class of each video, or the target probabilities [b, c]. */
  readonly targets: Batch['targets']
}

/**
 * Trains on long videos, in chunks of frames: truncated back-propagation through time. The states
 * of the convolutions and recurrences are carried from chunk to chunk as constants, and gradients
 * stay within a chunk. The loss of a chunk is that of the mean over its own frames.
 *
 * `Trainer.stream` makes it. States are not part of `Trainer.save`.
 */
export class TrainingStream {
  readonly #states: VideoStates
  readonly #step: (batch: ChunkBatch, states: VideoStates) => Promise<StepResult>

  /**
   * Called by `Trainer.stream`.
   * @hidden
   * @param step makes an update, and replaces the states
   */
  constructor(b: number, step: (batch: ChunkBatch, states: VideoStates) => Promise<StepResult>) {
    checkCount('b', b)
    this.#states = Array.from({ length: b }, () => null)
    this.#step = step
  }

  /**
   * Makes one update with the next chunk of all videos. Chunks may have different lengths.
   * @throws TrecvitError as `Trainer.step` does. Weights and states are then unchanged
   */
  async step(batch: ChunkBatch): Promise<StepResult> {
    const { length } = this.#states
    if (batch.frames?.shape[0] !== length)
      throw new TrecvitError(
        `"frames" expected a chunk of ${length} videos, got ${batch.frames?.shape[0] ?? 'none'}`,
      )
    return this.#step(batch, this.#states)
  }

  /**
   * Begins new videos: their next chunk is their first. Await the steps before it.
   * @param video index of one video; all by default
   * @throws TrecvitError if there is no such video
   */
  reset(video?: number): void {
    const { length } = this.#states
    if (video === undefined) this.#states.fill(null)
    else if (Number.isInteger(video) && video >= 0 && video < length) this.#states[video] = null
    else throw new TrecvitError(`"video" expected an integer from 0 to ${length - 1}, got ${video}`)
  }
}
