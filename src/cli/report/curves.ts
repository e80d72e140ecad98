/** Curves over the steps of a training: SVG that stretches, with labels of a constant size. */
import { escapeHtml } from './page.ts'

/** A curve. */
export interface Curve {
  readonly title: string
  /** Value of each step; NaN leaves a gap. */
  readonly values: readonly number[]
  /** Whether a line through the means of the epochs is drawn over the values of the steps. */
  readonly hasMeans: boolean
  readonly format: (value: number) => string
  /** Range of the axis; by default that of the values. */
  readonly range?: readonly [number, number]
}

/** Points of a line. More are replaced by the mean of those beside each other. */
const MAX_POINTS = 1000
const TICKS = 4
/** Size of the drawing before it is stretched. */
const [WIDTH, HEIGHT] = [1000, 100]

const LEGEND = '<p class="hint">Thin: each step. Thick: the mean of each epoch.</p>'

export const CURVE_STYLE: string = `
.plot { display: grid; grid-template-columns: auto 1fr; gap: 6px 10px; }
.plot .values { position: relative; height: 190px; min-width: 3.2em; }
.plot .values span, .plot .steps span { position: absolute; color: var(--quiet); }
.plot .values span { right: 0; transform: translateY(50%); font-size: 0.78rem; }
.plot .drawing { position: relative; height: 190px; touch-action: pan-y; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot svg * { vector-effect: non-scaling-stroke; fill: none; }
.plot .grid { stroke: var(--line); }
.plot .raw { stroke: var(--accent); stroke-width: 1.25; opacity: 0.4; }
.plot .raw.alone, .plot .mean { stroke: var(--accent); stroke-width: 2.25; opacity: 1; }
.plot path { stroke-linejoin: round; stroke-linecap: round; }
.plot .steps { grid-column: 2; position: relative; height: 1.4em; font-size: 0.78rem; }
.plot .steps span { transform: translateX(-50%); white-space: nowrap; }
.plot .steps span:first-child { transform: none; }
.plot .steps span:last-child { transform: translateX(-100%); }
.plot .cursor { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--quiet); }
.plot output {
  position: absolute; top: 4px; padding: 2px 8px; border-radius: 6px; background: var(--ink);
  color: var(--sheet); font-size: 0.8125rem; white-space: nowrap; pointer-events: none;
}
`

/** Shows the values of the step under the pointer. */
export const CURVE_SCRIPT: string = `
for (const plot of document.querySelectorAll('.plot')) {
  const area = plot.querySelector('.drawing')
  const cursor = plot.querySelector('.cursor')
  const shown = plot.querySelector('output')
  const points = JSON.parse(plot.dataset.points)
  const hide = () => { cursor.hidden = shown.hidden = true }
  area.addEventListener('pointermove', ({ clientX }) => {
    const { left, width } = area.getBoundingClientRect()
    const share = Math.min(1, Math.max(0, (clientX - left) / width))
    const [text, at] = points[Math.round(share * (points.length - 1))]
    cursor.hidden = shown.hidden = false
    cursor.style.left = shown.style.left = 100 * at + '%'
    shown.style.transform = 'translateX(' + (at > 0.5 ? 'calc(-100% - 8px)' : '8px') + ')'
    shown.textContent = text
  })
  area.addEventListener('pointerleave', hide)
  hide()
}
`

/**
 * Returns a section with a curve.
 * @param steps number of each value
 * @param epochs epoch of each value
 */
export function curveOf(
  { title, values, hasMeans, format, range }: Curve,
  steps: readonly number[],
  epochs: readonly number[],
): string {
  const finite = values.filter((value) => Number.isFinite(value))
  if (finite.length === 0) return ''
  const [least, most] = range ?? extremes(finite)
  const ticks = ticksOf(least, most)
  const [low, high] = [Math.min(least, ticks[0]!), Math.max(most, ticks.at(-1)!)]
  const first = steps[0]!
  const span = steps.at(-1)! - first || 1
  const x = (step: number) => (step - first) / span
  const y = (value: number) => (value - low) / (high - low || 1)
  const points = thinned(steps, values)
  const means = hasMeans ? meansOf(steps, values, epochs) : []
  const isAlone = means.length < 2
  const line = (all: readonly Point[]) =>
    all
      .map(({ step, value }, index) => {
        const at = `${fixed(WIDTH * x(step))} ${fixed(HEIGHT * (1 - y(value)))}`
        return `${index === 0 ? 'M' : 'L'}${at}`
      })
      .join('')
  const grid = ticks.map((tick) => `M0 ${fixed(HEIGHT * (1 - y(tick)))}h${WIDTH}`).join('')
  const labels = ticks.map(
    (tick) => `<span style="bottom:${fixed(100 * y(tick))}%">${escapeHtml(format(tick))}</span>`,
  )
  const data = points.map(({ step, value }) => [
    `step ${Math.round(step)}: ${format(value)}`,
    Number(fixed(x(step), 4)),
  ])
  const [from, to] = [values.find(Number.isFinite)!, values.findLast(Number.isFinite)!]
  const label = `${title}: from ${format(from)} to ${format(to)} over ${values.length} steps`
  return (
    `<section><h2>${escapeHtml(title)}</h2>${isAlone ? '' : LEGEND}` +
    `<div class="plot" data-points="${escapeHtml(JSON.stringify(data))}">` +
    `<div class="values" aria-hidden="true">${labels.join('')}</div><div class="drawing">` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" ` +
    `aria-label="${escapeHtml(label)}"><path class="grid" d="${grid}"/>` +
    `<path class="raw${isAlone ? ' alone' : ''}" d="${line(points)}"/>` +
    (isAlone ? '' : `<path class="mean" d="${line(means)}"/>`) +
    '</svg><div class="cursor" hidden></div><output hidden></output></div>' +
    `<div class="steps" aria-hidden="true">${stepLabels(first, steps.at(-1)!)}</div></div>` +
    '</section>'
  )
}

interface Point {
  readonly step: number
  readonly value: number
}

/** Returns at most MAX_POINTS points. */
function thinned(steps: readonly number[], values: readonly number[]): Point[] {
  const size = Math.ceil(values.length / MAX_POINTS)
  const groups = steps.map((_, index) => Math.floor(index / size))
  return meansOf(steps, values, groups)
}

/** Returns the mean of each group of steps that follow each other. */
function meansOf(
  steps: readonly number[],
  values: readonly number[],
  groups: readonly number[],
): Point[] {
  const sums = new Map<number, { step: number; value: number; count: number }>()
  for (const [index, value] of values.entries()) {
    if (!Number.isFinite(value)) continue
    const sum = sums.get(groups[index]!) ?? { step: 0, value: 0, count: 0 }
    sum.step += steps[index]!
    sum.value += value
    sum.count++
    sums.set(groups[index]!, sum)
  }
  return Array.from(sums.values(), ({ step, value, count }) => ({
    step: step / count,
    value: value / count,
  }))
}

/** Returns round numbers that cover a range. */
function ticksOf(least: number, most: number): number[] {
  const rough = (most - least || Math.abs(most) || 1) / TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10)
  const from = Math.floor(least / step + 1e-9)
  const to = Math.ceil(most / step - 1e-9)
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step)
}

function stepLabels(first: number, last: number): string {
  const middle = Math.round((first + last) / 2)
  return [...new Set([first, middle, last])]
    .map((step, index) => {
      const at = last === first ? 0 : (100 * (step - first)) / (last - first)
      return `<span style="left:${fixed(at)}%">${index === 0 ? 'step ' : ''}${step}</span>`
    })
    .join('')
}

/** Returns the least and the greatest value. Math.min with an array spread fails if it is long. */
function extremes(values: readonly number[]): [number, number] {
  return values.reduce<[number, number]>(
    ([least, most], value) => [Math.min(least, value), Math.max(most, value)],
    [Infinity, -Infinity],
  )
}

function fixed(value: number, digits = 2): string {
  return String(Number(value.toFixed(digits)))
}
