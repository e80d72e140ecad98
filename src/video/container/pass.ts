/**
 * Passes over the media of a file. A pass determines which pictures are shown, and when.
 */
import { type Edit, splitEdits } from '../isobmff/edits.ts'
import type { Part } from './part.ts'

/** Times that are negative by at most this many seconds count as 0. */
const ROUNDING = 1e-6

/** One read of the media from a start time on. */
export interface Pass {
  /** Seconds of the media; packets before it may be skipped. undefined: the beginning. */
  readonly from: number | undefined
  /** True if no later picture is shown. */
  readonly isOver: boolean
  /**
   * Returns the time at which a picture is shown.
   * @param time seconds of the media, in ascending order of the calls
   * @returns seconds of the part; null if the picture is hidden
   */
  timeOf(time: number): number | null
}

/** Returns the passes over a part. */
export function passesOf({ edits }: Part): Pass[] {
  if (edits === null) return [WHOLE]
  const { list, timescale } = edits
  return splitEdits(list).map((pass, i) => new EditedPass(pass, timescale, i === 0))
}

/** The pass without edits. Pictures before time 0 are hidden, as in every player. */
const WHOLE: Pass = {
  from: undefined,
  isOver: false,
  timeOf: (time) => (time >= -ROUNDING ? time : null),
}

/** A pass over edits that are in ascending order of the media. */
class EditedPass implements Pass {
  readonly from: number | undefined
  readonly #edits: readonly Edit[]
  readonly #timescale: number
  #next = 0

  /** @param timescale ticks per second */
  constructor(edits: readonly Edit[], timescale: number, isFirst: boolean) {
    this.#edits = edits
    this.#timescale = timescale
    this.from = isFirst ? undefined : edits[0]!.start / timescale
  }

  get isOver(): boolean {
    return this.#next >= this.#edits.length
  }

  timeOf(time: number): number | null {
    const tick = Math.round(time * this.#timescale)
    while (!this.isOver && tick >= this.#edits[this.#next]!.end) this.#next++
    const edit = this.#edits[this.#next]
    if (edit === undefined || tick < edit.start) return null
    return edit.at + (edit.start === -Infinity ? time : (tick - edit.start) / this.#timescale)
  }
}
