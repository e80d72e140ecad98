/** Draws the steps of train and pretrain. */
import { CURVE_SCRIPT, CURVE_STYLE, type Curve, curveOf } from './curves.ts'
import { escapeHtml, pageOf, type Tile, tilesOf } from './page.ts'

/** Result of a step. */
export interface Step {
  readonly step: number
  readonly epoch: number
  readonly loss: number
  /** Share of the batch; not of a masked auto-encoder. */
  readonly accuracy?: number
  readonly learningRate: number
  readonly framesPerSecond: number
}

/** What a page tells about a training besides its steps. */
export interface TrainingFacts {
  readonly title: string
  readonly facts: readonly string[]
  readonly videos: number
  /** Number of all steps, with those before this run. */
  readonly total: number
  /** HTML of further sections, and their style. */
  readonly sections?: readonly string[]
  readonly style?: string
}

/** Returns the page of a training. */
export function trainingPage(steps: readonly Step[], facts: TrainingFacts): string {
  const numbers = steps.map(({ step }) => step)
  const epochs = steps.map(({ epoch }) => epoch)
  const draw = (curve: Curve) => curveOf(curve, numbers, epochs)
  const hasAccuracy = steps.some(({ accuracy }) => accuracy !== undefined)
  const sections = [
    tilesOf(tilesFor(steps, facts)),
    ...(facts.sections ?? []),
    draw({
      ...{ title: 'Loss', values: steps.map(({ loss }) => loss), hasMeans: true },
      format: (value) => String(Number(value.toPrecision(3))),
    }),
    hasAccuracy &&
      draw({
        ...{ title: 'Accuracy', values: steps.map(({ accuracy = NaN }) => accuracy) },
        ...{ hasMeans: true, range: [0, 1] },
        format: (value) => `${Math.round(100 * value)} %`,
      }),
    draw({
      ...{ title: 'Learning rate', values: steps.map(({ learningRate }) => learningRate) },
      ...{ hasMeans: false, format: (value) => (value === 0 ? '0' : value.toExponential(1)) },
    }),
    epochTable(steps, hasAccuracy),
  ]
  const { title, style = '' } = facts
  const page = pageOf(
    { title, facts: facts.facts, sections: sections.filter((html) => typeof html === 'string') },
    CURVE_STYLE + TABLE_STYLE + style,
  )
  return page.replace('</body>', `<script>${CURVE_SCRIPT}</script>\n</body>`)
}

const TABLE_STYLE = `
.epochs th, .epochs td { padding: 4px 18px 4px 0; border-bottom: 1px solid var(--rule); }
.epochs th, .epochs td { text-align: right; white-space: nowrap; }
`

function tilesFor(steps: readonly Step[], { videos, total }: TrainingFacts): Tile[] {
  const last = epochsOf(steps).at(-1)
  if (!last) return [{ name: 'Steps', value: '0', note: `of ${total}` }]
  const seconds = steps.reduce((sum, { framesPerSecond }) => sum + 1 / framesPerSecond, 0)
  return [
    { name: 'Loss', value: last.loss.toFixed(3), note: 'mean of the last epoch' },
    ...(last.accuracy === undefined
      ? []
      : [
          {
            ...{ name: 'Accuracy', value: `${(100 * last.accuracy).toFixed(1)} %` },
            note: 'of training videos, last epoch',
          },
        ]),
    { name: 'Steps', value: String(steps.at(-1)!.step), note: `of ${total}` },
    { name: 'Videos', value: String(videos) },
    { name: 'Frames a second', value: rate(steps.length / seconds), note: 'mean' },
  ]
}

/** Returns a number of three digits, without an exponent. */
function rate(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en')
}

interface Epoch {
  readonly epoch: number
  readonly loss: number
  readonly accuracy: number | undefined
  readonly learningRate: number
}

/** Returns the means of each epoch. */
function epochsOf(steps: readonly Step[]): Epoch[] {
  const groups = new Map<number, Step[]>()
  for (const step of steps) {
    const own = groups.get(step.epoch)
    if (own) own.push(step)
    else groups.set(step.epoch, [step])
  }
  return Array.from(groups, ([epoch, own]) => {
    const mean = (of: (step: Step) => number) =>
      own.reduce((sum, step) => sum + of(step), 0) / own.length
    const hasAccuracy = own[0]!.accuracy !== undefined
    return {
      epoch,
      loss: mean(({ loss }) => loss),
      accuracy: hasAccuracy ? mean(({ accuracy = NaN }) => accuracy) : undefined,
      learningRate: own.at(-1)!.learningRate,
    }
  })
}

function epochTable(steps: readonly Step[], hasAccuracy: boolean): string {
  const names = ['epoch', 'loss', ...(hasAccuracy ? ['accuracy'] : []), 'learning rate']
  const rows = epochsOf(steps).map(({ epoch, loss, accuracy, learningRate }) => {
    const cells = [
      loss.toFixed(4),
      ...(accuracy === undefined ? [] : [`${(100 * accuracy).toFixed(1)} %`]),
      learningRate.toExponential(2),
    ]
    return (
      `<tr><th scope="row">${epoch}</th>` +
      `${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
    )
  })
  return (
    '<section><h2>Epochs</h2><details><summary>Means of each epoch</summary>' +
    '<div class="scroll" tabindex="0" role="region" aria-label="Means of each epoch">' +
    '<table class="epochs"><thead><tr>' +
    `${names.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead>` +
    `<tbody>${rows.join('')}</tbody></table></div></details></section>`
  )
}
