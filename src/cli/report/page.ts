/** A report as one self-contained page, light or dark as the system of the reader. */
import { escapeHtml } from '../../bench/lib/escapeHtml.ts'
import { PAGE_STYLE } from '../../bench/lib/style.ts'
import { type OutputOptions, writeOutput } from '../output.ts'

export { escapeHtml }

/** Contents of a page. */
export interface Page {
  readonly title: string
  /** Facts below the title: text. */
  readonly facts: readonly string[]
  /** HTML of the sections. */
  readonly sections: readonly string[]
}

const DARK =
  '--accent: #8ab4ff; --on-accent: #10141c; --wrong: #ff9d5c; --pale: #2a3242; --rule: #20252d;'

const STYLE = `
:root {
  --accent: #1d4ed8; --on-accent: #fff; --wrong: #c2410c; --pale: #e3e9f7; --rule: #edf0f4;
}
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
body { font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
h1 { overflow-wrap: anywhere; }
.hint { color: var(--quiet); font-size: 0.875rem; margin: 0 0 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 16px; }
.tiles { margin: 0; }
.tiles dt { color: var(--quiet); font-size: 0.8125rem; }
.tiles dd { margin: 0; font-size: 1.75rem; font-weight: 600; letter-spacing: -0.02em; }
.tiles dd { line-height: 1.2; }
.tiles small { display: block; color: var(--quiet); font-size: 0.8125rem; font-weight: 400; }
.tiles small { letter-spacing: 0; }
.scroll { overflow-x: auto; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; font-size: 0.9rem; }
th { font-weight: 500; color: var(--quiet); text-align: left; }
details { margin-top: 14px; }
summary { color: var(--quiet); cursor: pointer; font-size: 0.875rem; }
`

/** Returns a page as HTML. */
export function pageOf({ title, facts, sections }: Page, style: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}${STYLE}${style}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p>${facts.map(escapeHtml).join(' · ')}</p></header>
<main>
${sections.join('\n')}
</main>
</body>
</html>
`
}

/** A number on a tile, with its name and what it is of. */
export interface Tile {
  readonly name: string
  readonly value: string
  readonly note?: string
}

/** Returns the most important numbers as a section. */
export function tilesOf(tiles: readonly Tile[]): string {
  const items = tiles.map(
    ({ name, value, note }) =>
      `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}` +
      `${note === undefined ? '' : `<small>${escapeHtml(note)}</small>`}</dd></div>`,
  )
  return `<section><dl class="tiles">${items.join('')}</dl></section>`
}

/** Writes a page, and replaces an older one. */
export async function writePage(
  path: string,
  page: string,
  { signal }: Pick<OutputOptions, 'signal'>,
): Promise<void> {
  await writeOutput(path, { replace: true, signal }, (output) =>
    output.write(new TextEncoder().encode(page)),
  )
}
