/** A chart of the probabilities of the classes over time. A click seeks. */
import uPlot from 'uplot'
import { colourOf } from './colours.ts'
import type { Track } from './track.ts'
import { nameOf } from './words.ts'

/** Largest number of lines: the classes that reached the highest probabilities. */
const MOST = 10

export class Chart {
  readonly #element: HTMLElement
  readonly #legend: HTMLElement
  readonly #track: Track
  #plot: uPlot | undefined
  #names = ''
  #end = 0

  /** @param seek called with seconds */
  constructor(
    element: HTMLElement,
    legend: HTMLElement,
    track: Track,
    seek: (time: number) => void,
  ) {
    this.#element = element
    this.#legend = legend
    this.#track = track
    new ResizeObserver(() => {
      if (element.clientWidth) this.#plot?.setSize(this.#size())
    }).observe(element)
    element.onclick = ({ clientX }) => {
      const plot = this.#plot
      if (plot) seek(plot.posToVal(clientX - plot.over.getBoundingClientRect().left, 'x'))
    }
  }

  /** Draws again after a change of theme. */
  recolour(): void {
    this.#names = ''
    this.draw(this.#end)
  }

  /** @param end seconds at the end of the axis */
  draw(end: number): void {
    this.#end = end
    const { times, answers, peaks } = this.#track
    if (times.length < 2) {
      this.#plot?.destroy()
      this.#plot = undefined
      return this.#legend.replaceChildren()
    }
    if (!this.#element.clientWidth) return
    const names = [...peaks]
      .sort(([, one], [, other]) => other - one)
      .slice(0, MOST)
      .map(([name]) => name)
      .sort()
    const data = [
      times,
      ...names.map((name) =>
        answers.map((answer) => answer?.find((one) => nameOf(one) === name)?.prob ?? null),
      ),
    ] as uPlot.AlignedData
    if (this.#plot && names.join() === this.#names) return this.#plot.setData(data)
    this.#names = names.join()
    this.#plot?.destroy()
    this.#plot = new uPlot(this.#options(names), data, this.#element)
    this.#legend.replaceChildren(
      ...names.map((name) => {
        const entry = document.createElement('span')
        const swatch = document.createElement('i')
        swatch.style.background = `var(--c${colourOf(name)})`
        entry.append(swatch, name)
        return entry
      }),
    )
  }

  #size(): { width: number; height: number } {
    return { width: this.#element.clientWidth, height: this.#element.clientHeight }
  }

  #options(names: readonly string[]): uPlot.Options {
    const style = getComputedStyle(document.documentElement)
    const value = (name: string) => style.getPropertyValue(name)
    const axis = {
      stroke: value('--quiet'),
      grid: { stroke: value('--line'), width: 1 },
      ticks: { stroke: value('--line'), width: 1 },
      font: '12px system-ui',
    }
    const seconds = (tick: number) => `${Number(tick.toFixed(1))} s`
    return {
      ...this.#size(),
      padding: [10, 18, 0, 0],
      scales: {
        x: { time: false, range: (_, least) => [Math.min(least ?? 0, this.#end), this.#end || 1] },
        y: { range: [-0.02, 1.02] },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(seconds) },
        {
          ...axis,
          size: 58,
          splits: () => [0, 0.25, 0.5, 0.75, 1],
          values: (_, ticks) => ticks.map((tick) => `${Math.round(100 * tick)} %`),
        },
      ],
      series: [
        {},
        ...names.map((label) => ({
          label,
          stroke: value(`--c${colourOf(label)}`),
          width: 2,
          spanGaps: false,
          points: { show: false },
        })),
      ],
      cursor: { show: false },
      legend: { show: false },
      hooks: { draw: [(plot) => this.#drawMarks(plot, axis.stroke)] },
    }
  }

  #drawMarks({ ctx, bbox, valToPos }: uPlot, colour: string): void {
    ctx.save()
    ctx.strokeStyle = ctx.fillStyle = colour
    ctx.font = `${12 * devicePixelRatio}px system-ui`
    for (const { time, text } of this.#track.marks) {
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
