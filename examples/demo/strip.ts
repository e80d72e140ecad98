/** The strip of segments under the picture, with the current position: a slider that seeks. */
import { paintWith } from './colours.ts'
import { element } from './text.ts'
import type { Segment } from './track.ts'

/** Seconds of an arrow key, and of Page Up and Page Down. */
const [SMALL, LARGE] = [0.5, 3]

/** Width of a letter in a segment, and of the space around its label, in pixels. */
const [LETTER, SPARE] = [6.6, 12]

export class Strip {
  readonly #strip = element('strip')
  readonly #segments = element('segments')
  readonly #head = element('head')
  readonly #clock = element('time')
  readonly #seek: (time: number) => void
  #from = 0
  #end = 0
  #time = 0
  #canSeek = false
  #isHeld = false

  /** @param seek called with seconds */
  constructor(seek: (time: number) => void) {
    this.#seek = seek
    const strip = this.#strip
    strip.onpointerdown = (event) => {
      if (!this.#canSeek) return
      this.#isHeld = true
      this.#place(this.#timeAt(event))
    }
    // The pointer may leave the strip while dragging.
    addEventListener('pointermove', (event) => {
      if (this.#isHeld) this.#place(this.#timeAt(event))
    })
    addEventListener('pointerup', (event) => {
      if (!this.#isHeld) return
      this.#isHeld = false
      this.show(this.#timeAt(event), null)
      seek(this.#timeAt(event))
    })
    addEventListener('pointercancel', () => {
      this.#isHeld = false
    })
    strip.onkeydown = (event) => this.#onKey(event)
  }

  /**
   * Called for another video. @param duration seconds, or null without an end or without seeking
   */
  open(duration: number | null): void {
    this.#canSeek = duration !== null
    this.#from = 0
    this.#end = duration ?? 0
    this.#strip.setAttribute('aria-disabled', String(!this.#canSeek))
    this.#strip.tabIndex = this.#canSeek ? 0 : -1
    this.#place(0)
  }

  /** @param from,end visible seconds */
  draw(segments: readonly Segment[], from: number, end: number): void {
    this.#from = from
    this.#end = end
    const percent = (time: number): string =>
      `${((100 * Math.max(0, time - from)) / (end - from || 1)).toFixed(3)}%`
    const nodes = this.#segments.children
    while (nodes.length > segments.length) nodes[nodes.length - 1]!.remove()
    segments.forEach((segment, index) => {
      const node = (nodes[index] ??
        this.#segments.appendChild(document.createElement('span'))) as HTMLElement
      node.style.left = percent(segment.from)
      node.style.right = `calc(100% - ${percent(Math.min(end, segment.to))})`
      const share = (Math.min(end, segment.to) - Math.max(from, segment.from)) / (end - from || 1)
      const fits = share * this.#strip.clientWidth > LETTER * segment.label.length + SPARE
      node.textContent = fits ? segment.label : ''
      if (node.title === segment.label) return
      node.title = segment.label
      paintWith(node, segment.label)
    })
    if (!this.#isHeld) this.#place(this.#time)
  }

  /** Shows the current position. */
  show(time: number, label: string | null): void {
    this.#time = time
    this.#strip.setAttribute('aria-valuetext', `${time.toFixed(1)} s${label ? `, ${label}` : ''}`)
    if (!this.#isHeld) this.#place(time)
  }

  #place(time: number): void {
    const share = (time - this.#from) / (this.#end - this.#from || 1)
    this.#head.style.left = `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`
    this.#clock.textContent = this.#canSeek
      ? `${time.toFixed(1)} / ${this.#end.toFixed(1)} s`
      : `${time.toFixed(1)} s`
    this.#strip.setAttribute('aria-valuenow', time.toFixed(1))
    this.#strip.setAttribute('aria-valuemax', Math.max(time, this.#end).toFixed(1))
  }

  #timeAt({ clientX }: PointerEvent): number {
    const { left, width } = this.#strip.getBoundingClientRect()
    const share = Math.min(1, Math.max(0, (clientX - left) / width))
    return this.#from + share * (this.#end - this.#from)
  }

  #onKey(event: KeyboardEvent): void {
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: SMALL,
      ArrowUp: SMALL,
      ArrowLeft: -SMALL,
      ArrowDown: -SMALL,
      PageUp: LARGE,
      PageDown: -LARGE,
      Home: -Infinity,
      End: Infinity,
    }
    const by = steps[event.key]
    if (by === undefined || !this.#canSeek || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    const to = Math.min(this.#end, Math.max(0, this.#time + by))
    this.show(to, null)
    this.#seek(to)
  }
}
