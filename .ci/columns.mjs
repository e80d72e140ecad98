// No line is longer than 100 columns. Biome and Prettier see to most of it, but split no string and
// no comment, and know neither WGSL nor shells. Prose is in README.md and docs, data in JSON.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const MOST = 100
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => /\.(ts|mjs|js|wgsl|css|html|sh|c)$|^\.ci\/run$/.test(file))

const long = files.flatMap((file) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line, index) =>
      [...line].length > MOST ? [`${file}:${index + 1} has ${[...line].length} columns`] : [],
    ),
)
if (long.length) console.error(`${long.join('\n')}\nLines have at most ${MOST} columns: split them`)
process.exitCode = long.length ? 1 : 0
