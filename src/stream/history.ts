import type { StreamState } from '../backend/backend.ts'
import type { Kind } from '../backend/engine.ts'

/** A chunk of frames that has been answered. */
export interface Chunk {
  readonly pixels: Uint8Array | Float32Array
  readonly t: number
}

/**
 * Share of a stream's time that saving its state may take. On the CPU nothing else runs meanwhile,
 * and devices are rarely lost.
 */
const SHARE: Readonly<Record<Kind, number>> = { webgpu: 0.03, wasm: 0.004 }
/** Frames between two saved states: at least, at most, and before their cost is known. */
const LEAST = 8
const MOST = 256
const FIRST = 32

/**
 * What computes the state of a stream again after its device was lost: the last saved state, and
 * the chunks since. The interval between two saved states follows from what saving costs.
 */
export class History {
  /** Frames since the reset, and the states after them; null is all zero. */
  #saved: { readonly frame: number; readonly values: readonly Float32Array[] | null } = {
    frame: 0,
    values: null,
  }
  #chunks: Chunk[] = []
  /** Frames of the chunks. */
  #frames = 0
  #interval = FIRST
  #since = performance.now()

  /** Frames since the reset that have been answered. */
  get frame(): number {
    return this.#saved.frame + this.#frames
  }

  add(chunk: Chunk): void {
    this.#chunks.push(chunk)
    this.#frames += chunk.t
  }

  /** Whether the state should be saved now. */
  get isDue(): boolean {
    return this.#frames >= this.#interval
  }

  /** The states after `frame` frames, from which a lost state is computed again. */
  save(frame: number, values: readonly Float32Array[] | null): void {
    this.#saved = { frame, values }
    this.#chunks = []
    this.#frames = 0
    this.#since = performance.now()
  }

  /**
   * Saves as `save` does, and sets the interval.
   * @param milliseconds what reading the states took
   */
  saveTimed(kind: Kind, values: readonly Float32Array[], milliseconds: number): void {
    const frames = Math.max(1, this.#frames)
    const perFrame = Math.max(1e-3, (performance.now() - this.#since - milliseconds) / frames)
    this.#interval = Math.min(
      MOST,
      Math.max(LEAST, Math.ceil(milliseconds / (SHARE[kind] * perFrame))),
    )
    this.save(this.frame, values)
  }

  /**
   * Computes the state of the answered frames again.
   * @param state all zero
   * @param run runs a chunk after so many frames
   */
  async restore(
    state: StreamState,
    run: (chunk: Chunk, frame: number) => Promise<unknown>,
  ): Promise<void> {
    let { frame, values } = this.#saved
    if (values) await state.write(values)
    for (const chunk of this.#chunks) {
      await run(chunk, frame)
      frame += chunk.t
    }
  }

  /** Frees the saved state and the chunks. */
  clear(): void {
    this.save(this.frame, null)
  }
}
