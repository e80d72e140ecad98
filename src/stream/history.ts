import type { StreamState } from '../backend/backend.ts'
import type { Kind } from '../backend/engine.ts'
import type { Pixels } from './input.ts'

/** A chunk of frames that has been answered. */
export interface Chunk {
  readonly pixels: Pixels
  readonly t: number
}

/**
 * Share of a stream's time for saving its state. It is small on the CPU: saving delays frames
 * there, and a CPU is rarely lost.
 */
const SHARE: Readonly<Record<Kind, number>> = { webgpu: 0.03, wasm: 0.004 }
/** Frames between two saved states: minimum, maximum, and initial value. */
const LEAST = 8
const MOST = 256
const FIRST = 32

/**
 * The last saved state and the chunks since. After a loss the state of the stream is computed again
 * from them. The interval between two saved states follows from the time that saving takes.
 */
export class History {
  /** Frames since the reset, and the states after them. null means all states are zero. */
  #saved: { readonly frame: number; readonly values: readonly Float32Array[] | null } = {
    frame: 0,
    values: null,
  }
  #chunks: Chunk[] = []
  /** Number of frames in the chunks. */
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

  /** Saves the states after `frame` frames. */
  save(frame: number, values: readonly Float32Array[] | null): void {
    this.#saved = { frame, values }
    this.#chunks = []
    this.#frames = 0
    this.#since = performance.now()
  }

  /**
   * Saves the states after the answered frames, and adapts the interval.
   * @param milliseconds time that reading the states took
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
   * @param run runs a chunk that comes after so many frames
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
