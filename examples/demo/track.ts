/** The answers along a video, in the order of time: what chart, strip and list are drawn from. */
import type { Class } from 'trecvit'
import { nameOf } from './words.ts'

/** Points that are kept; then every second one goes. */
const POINTS = 4000
/** Seconds by which two points differ at least. */
const TOLERANCE = 1e-3

/** Neighbouring points with the same label. */
export interface Segment {
  /** Seconds, from its first point to the first one of the next segment. */
  readonly from: number
  readonly to: number
  readonly label: string
  /** Mean, 0..1. */
  readonly prob: number
}

export class Track {
  #times: number[] = []
  /** Null where the window was not full. */
  #answers: (readonly Class[] | null)[] = []
  #marks: { readonly time: number; readonly text: string }[] = []
  /** Labels that were ever the most probable, with their largest probability. */
  #peaks = new Map<string, number>()

  get times(): readonly number[] {
    return this.#times
  }
  get answers(): readonly (readonly Class[] | null)[] {
    return this.#answers
  }
  get marks(): readonly { readonly time: number; readonly text: string }[] {
    return this.#marks
  }
  get peaks(): ReadonlyMap<string, number> {
    return this.#peaks
  }

  clear(): void {
    this.#times = []
    this.#answers = []
    this.#marks = []
    this.#peaks = new Map()
  }

  /** A point; one that is there already is replaced, unless by less. */
  add(time: number, answer: readonly Class[] | null): void {
    const index = this.#times.findLastIndex((one) => one < time - TOLERANCE) + 1
    const isThere = (this.#times[index] ?? Infinity) <= time + TOLERANCE
    if (isThere && !answer) return
    this.#times.splice(index, isThere ? 1 : 0, time)
    this.#answers.splice(index, isThere ? 1 : 0, answer)
    const best = answer?.[0]
    if (best) this.#peaks.set(nameOf(best), Math.max(this.#peaks.get(nameOf(best)) ?? 0, best.prob))
    if (this.#times.length <= POINTS) return
    const even = <T>(list: readonly T[]): T[] => list.filter((_, at) => at % 2 === 0)
    this.#times = even(this.#times)
    this.#answers = even(this.#answers)
  }

  /** A word about what changes after the last point. */
  mark(text: string): void {
    const time = this.#times.at(-1)
    if (time !== undefined) this.#marks.push({ time, text })
  }

  /** @param end seconds at which the last point ends */
  segments(end: number): Segment[] {
    const segments: Segment[] = []
    const labelAt = (index: number): string | undefined => {
      const best = this.#answers[index]?.[0]
      return best && nameOf(best)
    }
    for (let start = 0, stop = 0; start < this.#times.length; start = stop) {
      const label = labelAt(start)
      let sum = 0
      for (stop = start; stop < this.#times.length && labelAt(stop) === label; stop++)
        sum += this.#answers[stop]?.[0]?.prob ?? 0
      if (label === undefined) continue
      const [from, to] = [this.#times[start]!, this.#times[stop] ?? end]
      segments.push({ from, to, label, prob: sum / (stop - start) })
    }
    return segments
  }
}
