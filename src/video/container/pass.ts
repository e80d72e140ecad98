/**
 * Passes over the media of a file: which of its pictures are shown, and when.
 */
import { type Edit, splitEdits } from '../isobmff/edits.ts'
import type { Part } from './part.ts'

/** Seconds by which a time may be before 0 and be 0. */
const ROUNDING = 1e-6

/** One reading of the media, from a place on. */
export interface Pass {
  /** Seconds of the media, before which packets are not needed; undefined: the beginning. */
  readonly from: number | undefined
  /** True when nothing behind the last picture is shown. */
  readonly isOver: boolean
  /**
   * When a picture is shown.
   * @param time seconds of the media; not before that of the last call
   * @returns seconds of the part; null: it is hidden
   */
  timeOf(time: number): number | null
}

/** The passes that a part asks for. */
export function passesOf({ edits }: Part): Pass[] {
  if (edits === null) return [WHOLE]
  const { list, timescale } = edits
  return splitEdits(list).map((pass, i) => new EditedPass(pass, timescale, i === 0))
}

/** Without edits. An edit list hides what comes before time 0, here as in every player. */
const WHOLE: Pass = {
  from: undefined,
  isOver: false,
  timeOf: (time) => (time >= -ROUNDING ? time : null),
}

/** Edits that follow one another without going back. */
class EditedPass implements Pass {
  readonly from: number | undefined
  readonly #edits: readonly Edit[]
  readonly #timescale: number
  #next = 0

  /** @param timescale ticks of a second */
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
