// Checks pages of Markdown: columns, lengths, words that have a better one, links to files, that
// each code block says where it runs (test/platforms/docs.mjs runs them), and that the errors of
// docs/troubleshooting.md are those of the code. Checks the words of comments, messages and titles
// of tests, too.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { blocksOf, pages } from './markdown.mjs'
import { faultsOf, faultsOfCode } from './words.mjs'

const COLUMNS = 100
const README_WORDS = 1200
const GUIDE_WORDS = 1000
const PLACES = ['node', 'deno', 'chromium', 'run', 'ci']
/** Languages of blocks that are not run: pictures and output. */
const SHOWN = ['text', 'mermaid']
/** Blocks of README.md that CI runs word for word. */
const COMMANDS = ['npm ci && npm start\n', 'npm ci && npm test\n']
/** Files whose comments, messages and names are checked. */
const CODE = /\.(ts|mjs|js|wgsl|html|css|sh)$/
const SKIPPED = /node_modules|build\/|words\.test/
const faults = []
for (const file of pages()) {
  const text = readFileSync(file, 'utf8')
  const report = (line, fault) => faults.push(`${file}:${line} ${fault}`)
  const blocks = blocksOf(text)
  const inBlock = (line) =>
    blocks.some(({ line: first, code }) => line > first && line < first + code.split('\n').length)
  text.split('\n').forEach((content, index) => {
    const line = index + 1
    const columns = [...content].length
    // A row of a table and a tag cannot be split.
    if (columns > COLUMNS && !/^(\||<img )/.test(content)) report(line, `has ${columns} columns`)
    if (inBlock(line)) return
    const prose = content.replace(/`[^`]*`/g, '').replace(/\]\([^)]*\)/g, ']')
    for (const fault of faultsOf(prose)) report(line, fault)
    for (const [, target] of content.matchAll(/(?<=\]\(|src=")([^)#"\s]+)/g))
      if (!/^\w+:/.test(target) && !existsSync(join(dirname(file), target)))
        report(line, `links to ${target}, which does not exist`)
  })
  for (const { language, marks, line, code } of blocks) {
    const isCommand = file === 'README.md' && language === 'sh' && COMMANDS.includes(code)
    if (!isCommand && !SHOWN.includes(language) && !marks.some((mark) => PLACES.includes(mark)))
      report(line, `expected one of ${PLACES.join(', ')} after "${language}"`)
  }
  // As `wc -w` counts; in guides the bars of tables are no words.
  const all = text.split(/\s+/).filter((word) => word !== '')
  if (file === 'README.md' && all.length > README_WORDS) report(1, `has ${all.length} words`)
  const words = all.filter((word) => /[\p{L}\d]/u.test(word)).length
  const isGuide = /^docs\/[\w-]+\.md$/.test(file) && file !== 'docs/operations.md'
  if (isGuide && words > GUIDE_WORDS) report(1, `has ${words} words`)
}
/** All text of src, where a sentence that is split over lines is whole. */
const code = readdirSync('src', { recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join('src', file), 'utf8').replace(/['`"]\s*\+\s*['`"]/g, ''))
  .join('\n')
for (const [, error] of readFileSync('docs/troubleshooting.md', 'utf8').matchAll(/^### `(.*)`$/gm))
  for (const part of error.split('…').map((text) => text.trim()))
    if (!code.includes(part)) faults.push(`docs/troubleshooting.md: no error of src says "${part}"`)
for (const folder of ['assembly', 'bench', 'examples', 'gpu', 'scripts', 'src', 'test'])
  for (const path of readdirSync(folder, { recursive: true }))
    if (CODE.test(path) && !SKIPPED.test(path)) {
      const file = join(folder, path)
      for (const fault of faultsOfCode(readFileSync(file, 'utf8'))) faults.push(`${file}:${fault}`)
    }
if (faults.length) console.error(faults.join('\n'))
process.exitCode = faults.length ? 1 : 0
