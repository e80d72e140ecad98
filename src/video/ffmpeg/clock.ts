/**
 * Timestamps of pictures that FFmpeg demuxed: relative to the first picture, never decreasing.
 */

/** Longest gap in seconds between two pictures of a broadcast, as in ffmpeg. */
const LEAP = 10
/** Seconds between pictures of a file without timestamps or frame rate. */
const USUAL_GAP = 1 / 25

/** Timestamps of a file. After a discontinuity, the next picture follows at the previous gap. */
export class FileClock {
  readonly #isBroadcast: boolean
  /** Offset of the timestamps of the file. */
  #shift: number | undefined
  #gap: number
  #last = 0

  /** @param fps frames per second; null: unknown */
  constructor(isBroadcast: boolean, fps: number | null) {
    this.#isBroadcast = isBroadcast
    this.#gap = fps === null ? USUAL_GAP : 1 / fps
  }

  /** Time of the last picture in seconds. */
  get time(): number {
    return this.#last
  }

  /** @param time timestamp of the file in seconds; NaN: unknown */
  add(time: number): number {
    if (this.#shift === undefined) {
      this.#shift = Number.isNaN(time) ? 0 : time
      return 0
    }
    const gap = time - this.#shift - this.#last
    const isUsual = gap >= 0 && (gap <= LEAP || !this.#isBroadcast)
    if (isUsual && gap > 0) this.#gap = gap
    const next = isUsual ? this.#last + gap : this.#last + this.#gap
    if (!isUsual && !Number.isNaN(time)) this.#shift = time - next
    this.#last = next
    return next
  }
}
