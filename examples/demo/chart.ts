/** The probabilities of the classes over time. */

import type { Class } from 'trecvit'
import uPlot from 'uplot'

/** Classes that are drawn: those that were ever the most probable. */
const MOST = 8
/** Points that are kept; then every second one goes. */
const POINTS = 4000

/** Apart for eyes that see few colours, on light and on dark ground. */
const COLOURS = [
  '#2563eb',
  '#d97706',
  '#059669',
  '#db2777',
  '#7c3aed',
  '#0891b2',
  '#65a30d',
  '#dc2626',
]

/** A chart that grows to the right. */
export class Timeline {
  readonly #element: HTMLElement
  readonly #legend: HTMLElement
  #times: number[] = []
  /** By label, one for each time, or null where the class was not among those told. */
  #values = new Map<string, (number | null)[]>()
  #peaks = new Map<string, number>()
  #marks: { readonly time: number; readonly text: string }[] = []
  #plot: uPlot | undefined
  #names = ''
  #due = false

  constructor(element: HTMLElement, legend: HTMLElement) {
    this.#element = element
    this.#legend = legend
    new ResizeObserver(() =>
      this.#plot?.setSize({ width: element.clientWidth, height: element.clientHeight }),
    ).observe(element)
    this.clear()
  }

  /** Times of all points, in seconds: what tests look at. */
  get times(): readonly number[] {
    return this.#times
  }

  clear(): void {
    this.#times = []
    this.#values = new Map()
    this.#peaks = new Map()
    this.#marks = []
    this.#draw()
  }

  add(time: number, top: readonly Class[]): void {
    const index = this.#times.length
    this.#times.push(time)
    for (const values of this.#values.values()) values.push(null)
    for (const { label, index: number, prob } of top) {
      const name = label ?? `class ${number}`
      if (!this.#values.has(name))
        this.#values.set(name, new Array<number | null>(index + 1).fill(null))
      this.#values.get(name)![index] = prob
      this.#peaks.set(name, Math.max(this.#peaks.get(name) ?? 0, prob))
    }
    if (this.#times.length > POINTS) this.#thin()
    this.#draw()
  }

  /** A line across, from now on, with a word about it. */
  mark(text: string): void {
    if (this.#times.length) this.#marks.push({ time: this.#times[this.#times.length - 1]!, text })
  }

  /** Draws with the colours of the page as they are now. */
  recolour(): void {
    this.#names = ''
    this.#draw()
  }

  #thin(): void {
    const even = <T>(list: readonly T[]): T[] => list.filter((_, index) => index % 2 === 0)
    this.#times = even(this.#times)
    for (const [name, values] of this.#values) this.#values.set(name, even(values))
  }

  /** Ten times a second at most. */
  #draw(): void {
    if (this.#due) return
    this.#due = true
    setTimeout(() => {
      this.#due = false
      this.#update()
    }, 100)
  }

  #update(): void {
    const names = [...this.#peaks]
      .sort(([, one], [, other]) => other - one)
      .slice(0, MOST)
      .map(([name]) => name)
      .sort()
    const data = [this.#times, ...names.map((name) => this.#values.get(name)!)] as uPlot.AlignedData
    if (this.#plot && names.join() === this.#names) return this.#plot.setData(data)
    this.#names = names.join()
    this.#plot?.destroy()
    const style = getComputedStyle(document.documentElement)
    const [quiet, line] = [style.getPropertyValue('--quiet'), style.getPropertyValue('--line')]
    const axis = {
      stroke: quiet,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      font: '12px system-ui',
    }
    this.#plot = new uPlot(
      {
        width: this.#element.clientWidth,
        height: this.#element.clientHeight,
        scales: { x: { time: false }, y: { range: [0, 1] } },
        axes: [
          { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
          { ...axis, values: (_, ticks) => ticks.map((tick) => `${Math.round(100 * tick)} %`) },
        ],
        series: [
          {},
          ...names.map((name, index) => ({
            label: name,
            stroke: COLOURS[index]!,
            width: 2,
            points: { show: false },
          })),
        ],
        cursor: { show: false },
        legend: { show: false },
        hooks: { draw: [(plot) => this.#drawMarks(plot, quiet)] },
      },
      data,
      this.#element,
    )
    this.#legend.replaceChildren(
      ...names.map((name, index) => {
        const entry = document.createElement('span')
        const swatch = document.createElement('i')
        swatch.style.background = COLOURS[index]!
        entry.append(swatch, name)
        return entry
      }),
    )
  }

  #drawMarks({ ctx, bbox, valToPos }: uPlot, colour: string): void {
    ctx.save()
    ctx.strokeStyle = ctx.fillStyle = colour
    ctx.font = `${12 * devicePixelRatio}px system-ui`
    for (const { time, text } of this.#marks) {
      const x = valToPos(time, 'x', true)
      ctx.setLineDash([4, 4])
      ctx.beginPath()
      ctx.moveTo(x, bbox.top)
      ctx.lineTo(x, bbox.top + bbox.height)
      ctx.stroke()
      ctx.fillText(text, x + 6, bbox.top + 14 * devicePixelRatio)
    }
    ctx.restore()
  }
}
