/** The answers over time: the strip under the picture, the chart, and a list. */
import type { Class } from 'trecvit'
import { Chart } from './chart.ts'
import { paintWith } from './colours.ts'
import { Strip } from './strip.ts'
import { element } from './text.ts'
import { type Segment, Track } from './track.ts'
import { nameOf, percent } from './words.ts'

/** Seconds of the shortest segment in the list. */
const SHORTEST = 0.2
/** Visible seconds of a source without an end. */
const LIVE = 30

export class Timeline {
  /** Time of the last answered frame, in seconds. */
  now = 0
  readonly #track = new Track()
  readonly #chart: Chart
  readonly #strip: Strip
  readonly #list = element('list')
  readonly #seek: (time: number) => void
  #duration: number | null = null
  #due = false

  /** @param seek called with seconds, for videos that have an end */
  constructor(seek: (time: number) => void) {
    this.#seek = (time) => this.#duration !== null && seek(time)
    this.#strip = new Strip(this.#seek)
    this.#chart = new Chart(element('chart'), element('legend'), this.#track, this.#seek)
  }

  /** Times of all points in seconds; read by tests. */
  get times(): readonly number[] {
    return this.#track.times
  }

  /** Called for another source. @param duration seconds, or null */
  open(duration: number | null): void {
    this.#duration = duration
    this.#strip.open(duration)
    this.#draw()
  }

  clear(): void {
    this.#track.clear()
    this.#draw()
  }

  /** @param answer null while the window is not full */
  add(time: number, answer: readonly Class[] | null): void {
    this.now = time
    this.#track.add(time, answer)
    this.#strip.show(time, answer && nameOf(answer[0]!))
    this.#draw()
  }

  /** Draws a vertical line at the current time, with a text. */
  mark(text: string): void {
    this.#track.mark(text)
  }

  recolour(): void {
    this.#chart.recolour()
  }

  /** Draws, at most ten times a second. */
  #draw(): void {
    if (this.#due) return
    this.#due = true
    setTimeout(() => {
      this.#due = false
      this.update()
    }, 100)
  }

  /** Draws at once: a hidden part has become visible. */
  update(): void {
    const last = this.#track.times.at(-1) ?? 0
    const end = this.#duration ?? last
    const from = this.#duration === null ? Math.max(0, end - LIVE) : 0
    const segments = this.#track.segments(this.#duration === null ? last : this.#endOf(last))
    this.#strip.draw(
      segments.filter(({ to }) => to > from),
      from,
      Math.max(end, last),
    )
    this.#chart.draw(Math.max(end, last))
    this.#showList(segments.filter((one) => one.to - one.from >= SHORTEST))
  }

  /** Returns the end of the last point in seconds. It lasts as long as the one before. */
  #endOf(last: number): number {
    const before = this.#track.times.at(-2) ?? last
    return Math.min(this.#duration!, last + (last - before))
  }

  #showList(segments: readonly Segment[]): void {
    element('listEmpty').hidden = segments.length > 0
    const items = this.#list.children
    while (items.length > segments.length) items[items.length - 1]!.remove()
    segments.forEach(({ from, to, label, prob }, index) => {
      const item = items[index] ?? this.#list.appendChild(newItem())
      const button = item.firstElementChild as HTMLButtonElement
      const [swatch, name, time, share] = button.children as unknown as HTMLElement[]
      paintWith(swatch!, label)
      name!.textContent = label
      time!.textContent = `${from.toFixed(1)} – ${to.toFixed(1)} s`
      share!.textContent = percent(prob)
      button.disabled = this.#duration === null
      button.onclick = () => this.#seek(from)
    })
  }
}

function newItem(): HTMLLIElement {
  const item = document.createElement('li')
  const button = document.createElement('button')
  button.type = 'button'
  for (const tag of ['i', 'span', 'span', 'span']) button.append(document.createElement(tag))
  item.append(button)
  return item
}
