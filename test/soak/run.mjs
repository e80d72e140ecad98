/**
 * Soaks streams and models for long, and writes a report.
 *
 *     npm run soak -- [--commands 200000] [--seed 1] [--out FOLDER]
 *
 * FOLDER is bench/results/DATE-soak by default. Ctrl-C ends it; a failure prints the seed and the
 * commands that led to it, and `--seed SEED --commands 1` runs them again.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))
const date = new Date().toISOString().slice(0, 10)
const { values } = parseArgs({
  options: {
    commands: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: join(root, `bench/results/${date}-soak`) },
  },
})
const scratch = mkdtempSync(join(tmpdir(), 'trecvit-soak-'))
const report = join(scratch, 'report.json')
const vitest = spawn(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'test/soak'],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, SOAK: values.commands, SOAK_SEED: values.seed, SOAK_REPORT: report },
  },
)
process.on('SIGINT', () => vitest.kill('SIGINT'))
const code = await new Promise((resolve) => vitest.on('exit', resolve))
if (code === 0) write(JSON.parse(readFileSync(report, 'utf8')))
rmSync(scratch, { recursive: true })
process.exitCode = code ?? 1

function write({ commands, runs, seeds, seconds, gpu, memory, counts }) {
  mkdirSync(values.out, { recursive: true })
  const rows = Object.entries(counts).map(([name, count]) => `| ${name} | ${count} |`)
  const [second, last] = memory.map((megabytes) => megabytes.toFixed(0))
  writeFileSync(
    join(values.out, 'README.md'),
    `# Soak of ${date}

${commands} commands in ${runs} runs found no fault: each accepted frame was answered once,
in order, with the right values; each rejection was a \`TrecvitError\`;
nothing stayed alive after a run.

| | |
| --- | --- |
| command | \`npm run soak -- --commands ${values.commands} --seed ${values.seed}\` |
| seeds | ${seeds.join(' to ')} |
| time | ${seconds} s |
| runtime | Node ${process.versions.node}, ${cpus().length} cores of ${cpus()[0].model.trim()} |
| GPU | ${gpu ? 'a software GPU, lost and refused by the commands' : 'none'} |
| memory after collection | ${second} MB in the second quarter of the runs, ${last} MB in the last |

| command | times |
| --- | --- |
${rows.join('\n')}
`,
  )
  console.log(`report in ${values.out}`)
}
