import { escape } from './escape.ts'
import { type Bar, columnsOf, format, type Report, type Table } from './report.ts'
import { rooflinePlot } from './roofline.ts'

/**
 * Reports as a page that needs nothing else, light or dark as the reader's system is.
 */
export function pageOf(reports: readonly Report[]): string {
  const machines = [...new Set(reports.map(machineOf))]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>trecvit bench — ${escape(machines.join(' · '))}</title>
<style>${PAGE_STYLE}${STYLE}</style>
</head>
<body>
<header><h1>trecvit bench</h1><p>${machines.map(escape).join('<br>')}</p></header>
<main>
${sectionsOf(reports)}
</main>
</body>
</html>
`
}

/**
 * The same without the page around it: sections of plots, then of tables. Several reports are drawn
 * together, each machine in a colour.
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
          `<section class="plot"><h2>Roofline</h2><p class="hint">Each kind of step alone, at the shapes of the model. Under the slope memory is the limit, under the flat roof the vector unit. The area of a point is its share of a frame.</p>
${series.length > 1 ? legend(series.map(({ name, colour, roofline: { peak, bandwidth } }) => ({ colour, text: `${name}: ${format(peak)} GFLOP/s, ${format(bandwidth)} GB/s` }))) : ''}<div class="scroll" tabindex="0" role="region" aria-label="Roofline plot">${rooflinePlot(series)}</div></section>`,
        ]
      : []),
    ...barsOf(reports, machines),
  ]
  return [...plots, ...reports.map(tablesOf)].join('\n')
}

/** Where a report comes from, as far as it matters for speed. */
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

/** A class of the style: machines have the same colour in every plot. */
function colourOf(machine: number): string {
  return `s${machine % 6}`
}

function legend(entries: readonly { colour: string; text: string }[]): string {
  return `<ul class="legend">${entries.map(({ colour, text }) => `<li class="${colour}"><i></i>${escape(text)}</li>`).join('')}</ul>`
}

/** Frames a second for each size of the model: a bar for each machine and runtime. */
function barsOf(reports: readonly Report[], machines: readonly string[]): string[] {
  const all = reports.flatMap((report) =>
    (report.bars ?? []).map((bar) => ({ ...bar, machine: machineOf(report) })),
  )
  // Who was measured in turn with a peer, and before that alone, has one bar: that of the last
  // time.
  const bars = [
    ...new Map(all.map((bar) => [`${bar.group}\n${bar.label}\n${bar.machine}`, bar])).values(),
  ]
  if (!bars.length) return []
  const groups = [...new Set(bars.map(({ group }) => group))].map((group) => {
    const rows = bars.filter((bar) => bar.group === group)
    const largest = Math.max(...rows.map(({ value }) => value))
    return `<h3>${escape(group)}</h3><ul class="bars">${rows.map((bar) => row(bar, largest)).join('')}</ul>`
  })
  return [
    `<section class="plot"><h2>Frames a second</h2><p class="hint">One stream, one frame at a time.</p>${machines.length > 1 ? legend(machines.map((text, index) => ({ colour: colourOf(index), text }))) : ''}${groups.join('')}</section>`,
  ]

  function row({ label, value, machine }: Bar & { machine: string }, largest: number): string {
    return `<li class="${colourOf(machines.indexOf(machine))}"><span>${escape(label)}</span><span class="track"><i style="width:${((100 * value) / largest).toFixed(2)}%" title="${escape(machine)}"></i></span><b>${format(value)}</b></li>`
  }
}

function tablesOf(report: Report): string {
  const facts = Object.entries(report.facts)
    .map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(String(value))}</dd></div>`)
    .join('')
  const verdict = report.verdict
    ? `<p class="${report.verdict.holds ? 'holds' : 'fails'}">${report.verdict.holds ? 'Holds' : 'Does not hold'}: ${escape(report.verdict.text)}.</p>`
    : ''
  return `<section><h2>${escape(report.bench)}</h2><dl class="facts">${facts}</dl>${verdict}${report.tables.map(tableOf).join('')}</section>`
}

function tableOf({ title, rows }: Table): string {
  const columns = columnsOf(rows)
  const cell = (value: string | number | undefined) =>
    typeof value === 'number' ? format(value) : escape(value ?? '')
  const head = columns
    .map(
      ({ name, isNumber }) =>
        `<th scope="col"${isNumber ? ' class="number"' : ''}>${escape(name)}</th>`,
    )
    .join('')
  const body = rows
    .map(
      (row) =>
        `<tr>${columns.map(({ name, isNumber }) => `<td${isNumber ? ' class="number"' : ''}>${cell(row[name])}</td>`).join('')}</tr>`,
    )
    .join('')
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escape(title)}"><table><caption>${escape(title)}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`
}

/** Of sections; colours are those of the page around them (--ink, --quiet, --line, --sheet). */
export const STYLE = `
:root { --s0: #1d4ed8; --s1: #c2410c; --s2: #15803d; --s3: #7e22ce; --s4: #0e7490; --s5: #854d0e; }
:root[data-theme='dark'] { --s0: #8ab4ff; --s1: #ff9d5c; --s2: #6ee7a0; --s3: #d8a4ff; --s4: #5fd3e6; --s5: #f2cc60; }
@media (prefers-color-scheme: dark) { :root:not([data-theme]) { --s0: #8ab4ff; --s1: #ff9d5c; --s2: #6ee7a0; --s3: #d8a4ff; --s4: #5fd3e6; --s5: #f2cc60; } }
.s0 { --series: var(--s0); } .s1 { --series: var(--s1); } .s2 { --series: var(--s2); } .s3 { --series: var(--s3); } .s4 { --series: var(--s4); } .s5 { --series: var(--s5); }
.scroll { overflow-x: auto; }
.plot .hint { color: var(--quiet); font-size: 0.85rem; margin: 0 0 12px; }
.roofline { display: block; width: 100%; min-width: 700px; height: auto; font: 12px/1 system-ui, sans-serif; }
.roofline text { fill: var(--ink); }
.roofline .tick, .roofline .axis { fill: var(--quiet); }
.roofline .grid { stroke: var(--line); stroke-width: 1; }
.roofline .roof { fill: none; stroke: var(--series); stroke-width: 2.5; }
.roofline .note { fill: var(--series); }
.roofline circle { fill: var(--series); fill-opacity: 0.55; stroke: var(--series); }
.roofline .label { font-size: 11.5px; }
.roofline .leader { stroke: var(--quiet); stroke-width: 0.8; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; padding: 0; font-size: 0.85rem; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; background: var(--series); margin-right: 6px; }
.bars { list-style: none; margin: 0; padding: 0; }
.bars li { display: flex; align-items: center; gap: 10px; padding: 3px 0; font-variant-numeric: tabular-nums; }
.bars span { flex: 0 0 9.5em; }
.bars .track { flex: 1 1 auto; }
.bars i { display: block; height: 18px; border-radius: 4px; background: var(--series); min-width: 2px; }
.bars b { flex: 0 0 4em; font-weight: 500; }
.plot h3 { font-size: 0.9rem; margin: 12px 0 4px; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 26px; margin: 0 0 16px; }
.facts dt { color: var(--quiet); font-size: 0.8rem; }
.facts dd { margin: 0; }
table { border-collapse: collapse; margin: 0 0 18px; font-size: 0.9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
caption { text-align: left; font-weight: 600; padding: 0 0 6px; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; }
.number { text-align: right; }
.holds, .fails { margin: 0 0 12px; }
`

const PAGE_STYLE = `
:root { --ground: #f6f7f9; --sheet: #fff; --ink: #16181d; --quiet: #5a6270; --line: #dfe3e9; color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1115; --sheet: #181b21; --ink: #eceef2; --quiet: #a3abb8; --line: #2b3038; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); }
header, main { max-width: 1180px; margin: 0 auto; padding: 0 16px; }
header { padding-block: 24px 16px; }
h1 { font-size: 1.5rem; letter-spacing: -0.02em; margin: 0; }
header p { margin: 0; color: var(--quiet); }
h2 { font-size: 1.05rem; margin: 0 0 10px; }
main { display: grid; gap: 16px; padding-bottom: 32px; }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: 14px; padding: 18px; min-width: 0; }
`
