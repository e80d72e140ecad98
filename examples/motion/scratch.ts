/**
 * node examples/motion/run.mjs scratch [--steps n] [--seed n] [--threads n] [--random] [--hard]
 * [--out file]: learns camera motion from random parameters. Prints a curve as CSV.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { COLUMNS, DEFAULTS, learn, rowOf } from './fromScratch.ts'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: `${DEFAULTS.steps}` },
    batch: { type: 'string', default: `${DEFAULTS.batch}` },
    peak: { type: 'string', default: `${DEFAULTS.peak}` },
    seed: { type: 'string', default: `${DEFAULTS.seed}` },
    threads: { type: 'string', default: `${DEFAULTS.threads}` },
    random: { type: 'boolean', default: false },
    hard: { type: 'boolean', default: false },
    out: { type: 'string', default: 'build/scratch.csv' },
  },
})
const { out, random, hard, ...numbers } = values
const options = Object.fromEntries(Object.entries(numbers).map(([name, x]) => [name, Number(x)]))
const lines = [`seconds,cpu_seconds,${COLUMNS}`]
const [begin, cpu] = [performance.now(), process.cpuUsage()]
for await (const progress of learn({ ...DEFAULTS, ...options, random, hard })) {
  const { user, system } = process.cpuUsage(cpu)
  const times = [(performance.now() - begin) / 1e3, (user + system) / 1e6]
  lines.push([...times.map((x) => x.toFixed(1)), rowOf(progress)].join(','))
  process.stderr.write(`${lines.at(-1)}\n`)
  await writeFile(out, `${lines.join('\n')}\n`)
}
