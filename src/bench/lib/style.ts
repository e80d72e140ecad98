const DARK_SERIES =
  '--s0: #8ab4ff; --s1: #ff9d5c; --s2: #6ee7a0; --s3: #d8a4ff; --s4: #5fd3e6; --s5: #f2cc60;'

/** Of sections; colours are those of the page around them (--ink, --quiet, --line, --sheet). */
export const STYLE: string = `
:root { --s0: #1d4ed8; --s1: #c2410c; --s2: #15803d; --s3: #7e22ce; --s4: #0e7490; --s5: #854d0e; }
:root[data-theme='dark'] { ${DARK_SERIES} }
@media (prefers-color-scheme: dark) { :root:not([data-theme]) { ${DARK_SERIES} } }
.s0 { --series: var(--s0); } .s1 { --series: var(--s1); } .s2 { --series: var(--s2); }
.s3 { --series: var(--s3); } .s4 { --series: var(--s4); } .s5 { --series: var(--s5); }
.scroll { overflow-x: auto; }
.plot .hint { color: var(--quiet); font-size: 0.85rem; margin: 0 0 12px; }
.roofline {
  display: block; width: 100%; min-width: 700px; height: auto; font: 12px/1 system-ui, sans-serif;
}
.roofline text { fill: var(--ink); }
.roofline .tick, .roofline .axis { fill: var(--quiet); }
.roofline .grid { stroke: var(--line); stroke-width: 1; }
.roofline .roof { fill: none; stroke: var(--series); stroke-width: 2.5; }
.roofline .note { fill: var(--series); }
.roofline circle { fill: var(--series); fill-opacity: 0.55; stroke: var(--series); }
.roofline .label { font-size: 11.5px; }
.roofline .leader { stroke: var(--quiet); stroke-width: 0.8; }
.legend {
  list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; padding: 0;
  font-size: 0.85rem;
}
.legend i {
  display: inline-block; width: 11px; height: 11px; border-radius: 3px; background: var(--series);
  margin-right: 6px;
}
.bars { list-style: none; margin: 0; padding: 0; }
.bars li {
  display: flex; align-items: center; gap: 10px; padding: 3px 0;
  font-variant-numeric: tabular-nums;
}
.bars span { flex: 0 0 9.5em; }
.bars .track { flex: 1 1 auto; }
.bars i {
  display: block; height: 18px; border-radius: 4px; background: var(--series); min-width: 2px;
}
.bars b { flex: 0 0 4em; font-weight: 500; }
.plot h3 { font-size: 0.9rem; margin: 12px 0 4px; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 26px; margin: 0 0 16px; }
.facts dt { color: var(--quiet); font-size: 0.8rem; }
.facts dd { margin: 0; }
table {
  border-collapse: collapse; margin: 0 0 18px; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; white-space: nowrap;
}
caption { text-align: left; font-weight: 600; padding: 0 0 6px; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; }
.number { text-align: right; }
.holds, .fails { margin: 0 0 12px; }
`

/** Of a page of its own: those colours and the layout. */
export const PAGE_STYLE: string = `
:root {
  --ground: #f6f7f9; --sheet: #fff; --ink: #16181d; --quiet: #5a6270; --line: #dfe3e9;
  color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) { :root {
  --ground: #0f1115; --sheet: #181b21; --ink: #eceef2; --quiet: #a3abb8; --line: #2b3038;
} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); }
header, main { max-width: 1180px; margin: 0 auto; padding: 0 16px; }
header { padding-block: 24px 16px; }
h1 { font-size: 1.5rem; letter-spacing: -0.02em; margin: 0; }
header p { margin: 0; color: var(--quiet); }
h2 { font-size: 1.05rem; margin: 0 0 10px; }
main { display: grid; gap: 16px; padding-bottom: 32px; }
section {
  background: var(--sheet); border: 1px solid var(--line); border-radius: 14px; padding: 18px;
  min-width: 0;
}
`
