/** The answers of a video, ordered by time. Chart, strip and list are drawn from them. */
import type { Class } from 'trecvit'
import { nameOf } from './words.ts'

/** Largest number of points. Above it, every second one is removed. */
const POINTS = 4000
/** Least difference of the times of two points, in seconds. */
const TOLERANCE = 1e-3

/** Consecutive points with the same label. */
export interface Segment {
  /** Start in seconds. A segment ends where the next one starts. */
  readonly from: number
  readonly to: number
  readonly label: string
  /** Mean probability, 0..1. */
  readonly prob: number
}

export class Track {
  #times: number[] = []
  /** null while the window is not full. */
  #answers: (readonly Class[] | null)[] = []
  #marks: { readonly time: number; readonly text: string }[] = []
  /** Largest probability of every label that was ever the most probable. */
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

  /** Adds a point. It replaces a point at the same time, unless it is null. */
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

  /** Adds a text about a change after the last point. */
  mark(text: string): void {
    const time = this.#times.at(-1)
    if (time !== undefined) this.#marks.push({ time, text })
  }

  /** @param end end of the last point, in seconds */
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
