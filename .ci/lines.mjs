// No line is longer than 100 columns, and no file of src longer than 250 lines. Biome and Prettier
// see to most columns, but split no string and no comment, and know neither WGSL nor shells. Prose
// is in README.md and docs, data in JSON.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

const COLUMNS = 100
const LINES = 250
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => /\.(ts|mjs|js|wgsl|css|html|sh|c)$|^\.ci\/run$/.test(file) && existsSync(file))

const faults = files.flatMap((file) => {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return [
    ...lines.flatMap((line, index) =>
      [...line].length > COLUMNS
        ? [`${file}:${index + 1} has ${[...line].length} columns, more than ${COLUMNS}: split it`]
        : [],
    ),
    ...(file.startsWith('src/') && file.endsWith('.ts') && lines.length > LINES
      ? [`${file} has ${lines.length} lines, more than ${LINES}: divide it`]
      : []),
  ]
})
if (faults.length) console.error(faults.join('\n'))
process.exitCode = faults.length ? 1 : 0
