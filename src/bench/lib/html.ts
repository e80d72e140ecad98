import { escapeHtml } from './escapeHtml.ts'
import { type Bar, columnsOf, format, type Report, type Table } from './report.ts'
import { rooflinePlot } from './roofline.ts'
import { PAGE_STYLE, STYLE } from './style.ts'

/** Formats reports as a self-contained page, light or dark as the reader's system. */
export function pageOf(reports: readonly Report[]): string {
  const machines = [...new Set(reports.map(machineOf))]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>trecvit bench — ${escapeHtml(machines.join(' · '))}</title>
<style>${PAGE_STYLE}${STYLE}</style>
</head>
<body>
<header><h1>trecvit bench</h1><p>${machines.map(escapeHtml).join('<br>')}</p></header>
<main>
${sectionsOf(reports)}
</main>
</body>
</html>
`
}

/**
 * Formats the content of the page: sections with plots, then tables. Several reports share the
 * plots, with one colour for each machine.
 */
export function sectionsOf(reports: readonly Report[]): string {
  const machines = [...new Set(reports.map(machineOf))]
  const roofs = new Map(
    reports.flatMap((report) =>
      report.roofline?.points.length ? [[machineOf(report), report.roofline] as const] : [],
    ),
  )
  const series = machines.flatMap((name, index) =>
    roofs.has(name) ? [{ name, colour: colourOf(index), roofline: roofs.get(name)! }] : [],
  )
  const plots = [
    ...(series.length
      ? [
          '<section class="plot"><h2>Roofline</h2><p class="hint">Each kind of step alone, ' +
            'at the shapes of the model. Under the slope memory is the limit, ' +
            'under the flat roof the vector unit. ' +
            'The area of a point is its share of a frame.</p>\n' +
            legend(
              series.map(({ name, colour, roofline: { unit = 'GFLOP/s', peak, bandwidth } }) => ({
                colour,
                text: `${name}: ${format(peak)} ${unit}, ${format(bandwidth)} GB/s`,
              })),
            ) +
            '<div class="scroll" tabindex="0" role="group" aria-label="Roofline plot">' +
            `${rooflinePlot(series)}</div></section>`,
        ]
      : []),
    ...barsOf(reports, machines),
  ]
  return [...plots, ...reports.map(tablesOf)].join('\n')
}

/** Returns the machine and runtime of a report. */
export function machineOf({ facts }: Report): string {
  const { runtime, cpu, kernels, threads, dtype } = facts
  return (
    [
      runtime,
      cpu ?? facts['platform'],
      kernels && `${kernels} kernels`,
      threads && `${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      dtype !== 'f32' && dtype,
    ]
      .filter(Boolean)
      .join(', ') || 'unknown machine'
  )
}

/** Returns the CSS class of a machine. Its colour is the same in every plot. */
function colourOf(machine: number): string {
  return `s${machine % 6}`
}

/** Returns the legend of machines and colours; empty for one machine. */
function legend(entries: readonly { colour: string; text: string }[]): string {
  if (entries.length < 2) return ''
  const items = entries.map(
    ({ colour, text }) => `<li class="${colour}"><i></i>${escapeHtml(text)}</li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>`
}

/**
 * Returns a bar chart of frames per second for each size of the model, with a bar for each machine
 * and runtime.
 */
function barsOf(reports: readonly Report[], machines: readonly string[]): string[] {
  const all = reports.flatMap((report) =>
    (report.bars ?? []).map((bar) => ({ ...bar, machine: machineOf(report) })),
  )
  // A runtime that was measured several times has one bar, with the latest value.
  const bars = [
    ...new Map(all.map((bar) => [`${bar.group}\n${bar.label}\n${bar.machine}`, bar])).values(),
  ]
  if (!bars.length) return []
  const groups = [...new Set(bars.map(({ group }) => group))].map((group) => {
    const rows = bars.filter((bar) => bar.group === group)
    const largest = Math.max(...rows.map(({ value }) => value))
    const items = rows.map((bar) => row(bar, largest)).join('')
    return `<h3>${escapeHtml(group)}</h3><ul class="bars">${items}</ul>`
  })
  return [
    '<section class="plot"><h2>Frames a second</h2>' +
      '<p class="hint">One stream, one frame at a time.</p>' +
      legend(machines.map((text, index) => ({ colour: colourOf(index), text }))) +
      `${groups.join('')}</section>`,
  ]

  function row({ label, value, machine }: Bar & { machine: string }, largest: number): string {
    const width = ((100 * value) / largest).toFixed(2)
    return (
      `<li class="${colourOf(machines.indexOf(machine))}"><span>${escapeHtml(label)}</span>` +
      `<span class="track"><i style="width:${width}%" title="${escapeHtml(machine)}"></i></span>` +
      `<b>${format(value)}</b></li>`
    )
  }
}

function tablesOf(report: Report): string {
  const facts = Object.entries(report.facts)
    .map(
      ([name, value]) =>
        `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(String(value))}</dd></div>`,
    )
    .join('')
  return (
    `<section><h2>${escapeHtml(report.bench)}</h2><dl class="facts">${facts}</dl>` +
    `${verdictOf(report)}${report.tables.map(tableOf).join('')}</section>`
  )
}

function verdictOf({ verdict }: Report): string {
  if (!verdict) return ''
  const { holds, text } = verdict
  return holds
    ? `<p class="holds">Holds: ${escapeHtml(text)}.</p>`
    : `<p class="fails">Does not hold: ${escapeHtml(text)}.</p>`
}

function tableOf({ title, rows }: Table): string {
  const columns = columnsOf(rows)
  const cell = (value: string | number | undefined) =>
    typeof value === 'number' ? format(value) : escapeHtml(value ?? '')
  const style = (isNumber: boolean) => (isNumber ? ' class="number"' : '')
  const head = columns.map(
    ({ name, isNumber }) => `<th scope="col"${style(isNumber)}>${escapeHtml(name)}</th>`,
  )
  const body = rows.map((row) => {
    const cells = columns.map(
      ({ name, isNumber }) => `<td${style(isNumber)}>${cell(row[name])}</td>`,
    )
    return `<tr>${cells.join('')}</tr>`
  })
  return (
    `<div class="scroll" tabindex="0" role="group" aria-label="${escapeHtml(title)}"><table>` +
    `<caption>${escapeHtml(title)}</caption><thead><tr>${head.join('')}</tr></thead>` +
    `<tbody>${body.join('')}</tbody></table></div>`
  )
}
