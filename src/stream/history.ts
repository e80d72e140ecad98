/** A chunk that has been answered. */
export interface Chunk {
  readonly pixels: Uint8Array | Float32Array
  readonly t: number
}

/** Share of the time of a stream that saving its state may take. */
const SHARE = 0.03
/** Frames between two savings, at least, at most, and before anything is known. */
const LEAST = 8
const MOST = 256
const FIRST = 32

/**
 * What it takes to compute the state of a stream again: the last saved one, and the chunks since. How often it is saved follows from what
 * that costs.
 */
export class History {
  /** Frames since the reset, and the states after them; null is all zero. */
  saved: { readonly frame: number; readonly values: readonly Float32Array[] | null } = { frame: 0, values: null }
  chunks: Chunk[] = []
  #interval = FIRST
  #since = performance.now()

  add(chunk: Chunk): void {
    this.chunks.push(chunk)
  }

  /** Whether the state should be saved now. */
  get isDue(): boolean {
    return this.chunks.reduce((sum, { t }) => sum + t, 0) >= this.#interval
  }

  /**
   * @param milliseconds what it took to read the states, if the time tells anything
   */
  save(frame: number, values: readonly Float32Array[] | null, milliseconds?: number): void {
    const frames = frame - this.saved.frame
    const now = performance.now()
    if (milliseconds !== undefined && frames > 0) {
      const perFrame = (now - this.#since - milliseconds) / frames
      this.#interval = Math.min(MOST, Math.max(LEAST, Math.ceil(milliseconds / (SHARE * Math.max(perFrame, 1e-3)))))
    }
    this.#since = now
    this.saved = { frame, values }
    this.chunks = []
  }
}
