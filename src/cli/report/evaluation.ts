/** Draws the result of evaluate. */
import { escapeHtml, pageOf, tilesOf } from './page.ts'

/** Result for the videos of a class. */
export interface EvaluatedClass {
  readonly label: string
  readonly videos: number
  /** Share of its videos that are classified as this class. */
  readonly top1: number
  /** Number of its videos by their most probable class. */
  readonly answers: Readonly<Record<string, number>>
}

/** Result for labelled videos. */
export interface Evaluated {
  readonly videos: number
  readonly top1: number
  readonly top5: number
  readonly classes: readonly EvaluatedClass[]
  /** Videos that could not be read, and why. */
  readonly errors: readonly { readonly video: string; readonly error: string }[]
  /** Whether Ctrl-C left out the videos after these. */
  readonly interrupted?: boolean
}

/** Number of classes up to which all confusions are drawn. */
const MAX_MATRIX = 40
/** Confusions in the list of the most frequent ones. */
const MAX_LISTED = 30
/** Shares of a class from which a cell has the text of strong colours, when dark and when light. */
const [STRONG_WHEN_DARK, STRONG] = [0.5, 0.78]

const STYLE = `
.classes { width: 100%; }
.classes th, .classes td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--rule); }
.classes th[scope=row] { color: var(--ink); max-width: 16em; }
.classes th[scope=row] { overflow-wrap: break-word; }
.classes .number { text-align: right; white-space: nowrap; }
.classes .share { width: 32%; min-width: 64px; }
.bar { height: 10px; border-radius: 5px; background: var(--pale); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); border-radius: 5px; }
.classes tr:last-child > * { border-bottom: 0; }
.matrix { border-spacing: 2px; border-collapse: separate; }
.matrix td {
  min-width: 36px; height: 36px; padding: 0 4px; text-align: center; border-radius: 5px;
  --mix: calc(var(--share) * 88% + var(--some) * 12%);
  background: color-mix(in srgb, var(--wrong) var(--mix), var(--rule));
}
.matrix td.right {
  background: color-mix(in srgb, var(--accent) calc(var(--share) * 100%), var(--rule));
}
.matrix td.strong { color: var(--on-accent); }
@media (prefers-color-scheme: dark) { .matrix td.strong-dark { color: var(--on-accent); } }
.matrix th { font-size: 0.8125rem; white-space: nowrap; color: var(--ink); }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 6px 0; }
.matrix thead th { max-height: 12em; overflow: hidden; text-overflow: ellipsis; }
.matrix tbody th {
  position: sticky; left: 0; background: var(--sheet); padding-right: 10px; text-align: right;
  max-width: 11em; overflow: hidden; text-overflow: ellipsis;
}
.errors { margin: 0; padding-left: 1.2em; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  .classes .optional { display: none; }
  .classes .share { width: 25%; }
}
`

/**
 * Returns the page of a result.
 * @param names of all classes of the model, in order
 */
export function evaluationPage(
  result: Evaluated,
  names: readonly string[],
  { data, model }: { readonly data: string; readonly model: string },
): string {
  const { videos, top1, top5, classes, errors } = result
  const tiles = tilesOf([
    { name: 'Top-1', value: percent(top1), note: `${Math.round(top1 * videos)} of ${videos}` },
    // Of at most five classes, the true one is always among the five most probable.
    ...(names.length > 5
      ? [{ name: 'Top-5', value: percent(top5), note: `${Math.round(top5 * videos)} of ${videos}` }]
      : []),
    { name: 'Mean of classes', value: percent(mean(classes.map((own) => own.top1))) },
    { name: 'Classes', value: String(classes.length), note: `of ${names.length} in the model` },
    ...(errors.length ? [{ name: 'Not read', value: String(errors.length), note: 'videos' }] : []),
  ])
  const sections = [tiles, classTable(classes), confusions(classes, names), errorList(errors)]
  const page = { title: 'Accuracy', facts: [model, data], sections: sections.filter(Boolean) }
  return pageOf(page, STYLE)
}

function classTable(classes: readonly EvaluatedClass[]): string {
  const rows = [...classes]
    .sort((one, other) => one.top1 - other.top1)
    .map(({ label, videos, top1, answers }) => {
      const wrong = wrongAnswers(label, answers)
        .slice(0, 3)
        .map(([answer, count]) => `${answer} ${count}`)
      return (
        `<tr><th scope="row">${escapeHtml(label)}</th><td class="number">${videos}</td>` +
        `<td class="number">${percent(top1)}</td><td class="share"><div class="bar">` +
        `<i style="width:${(100 * top1).toFixed(1)}%"></i></div></td>` +
        `<td class="optional">${escapeHtml(wrong.join(', '))}</td></tr>`
      )
    })
  return (
    '<section><h2>Classes</h2><p class="hint">The class with the lowest accuracy is first.</p>' +
    '<table class="classes"><thead><tr><th scope="col">class</th>' +
    '<th scope="col" class="number">videos</th><th scope="col" class="number">top-1</th>' +
    '<td></td><th scope="col" class="optional">confused with</th></tr></thead>' +
    `<tbody>${rows.join('')}</tbody></table></section>`
  )
}

/** All confusions as a matrix, or of many classes the most frequent ones as a list. */
function confusions(classes: readonly EvaluatedClass[], names: readonly string[]): string {
  const used = new Set(classes.flatMap(({ label, answers }) => [label, ...Object.keys(answers)]))
  const columns = names.filter((name) => used.has(name))
  if (columns.length > MAX_MATRIX) return confusionList(classes)
  const head = columns.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('')
  const rows = classes.map(({ label, videos, answers }) => {
    const cells = columns.map((name) => {
      const count = answers[name] ?? 0
      const share = count / videos
      const kind = [
        name === label && 'right',
        share >= STRONG && 'strong',
        share >= STRONG_WHEN_DARK && 'strong-dark',
      ].filter(Boolean)
      const style = kind.length ? ` class="${kind.join(' ')}"` : ''
      const colour = `--share:${share.toFixed(3)};--some:${+(count > 0)}`
      return `<td${style} style="${colour}">${count || ''}</td>`
    })
    return `<tr><th scope="row">${escapeHtml(label)}</th>${cells.join('')}</tr>`
  })
  return (
    '<section><h2>Confusion matrix</h2><p class="hint">Rows are the classes of the videos, ' +
    'columns the answers of the model. Colour is the share of the row.</p>' +
    '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">' +
    `<table class="matrix"><thead><tr><td></td>${head}</tr></thead>` +
    `<tbody>${rows.join('')}</tbody></table></div></section>`
  )
}

function confusionList(classes: readonly EvaluatedClass[]): string {
  const all = classes
    .flatMap(({ label, answers }) =>
      wrongAnswers(label, answers).map(([answer, count]) => ({ label, answer, count })),
    )
    .sort((one, other) => other.count - one.count)
    .slice(0, MAX_LISTED)
  if (all.length === 0) return ''
  const rows = all.map(
    ({ label, answer, count }) =>
      `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(answer)}</td>` +
      `<td class="number">${count}</td></tr>`,
  )
  return (
    '<section><h2>Most frequent confusions</h2><table class="classes"><thead><tr>' +
    '<th scope="col">class</th><th scope="col">answer</th>' +
    '<th scope="col" class="number">videos</th></tr></thead>' +
    `<tbody>${rows.join('')}</tbody></table></section>`
  )
}

function errorList(errors: Evaluated['errors']): string {
  if (errors.length === 0) return ''
  const items = errors.map(
    ({ video, error }) => `<li>${escapeHtml(video)}: ${escapeHtml(error)}</li>`,
  )
  return `<section><h2>Not read</h2><ul class="errors">${items.join('')}</ul></section>`
}

function wrongAnswers(label: string, answers: EvaluatedClass['answers']): [string, number][] {
  return Object.entries(answers)
    .filter(([answer]) => answer !== label)
    .sort(([, one], [, other]) => other - one)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
