// node bench/peers/run.mjs [--peer web] [--size B] [--threads 1]…: compares this runtime with
// another one, which is installed here on first use.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runBench } from '../run.mjs'

const here = dirname(fileURLToPath(import.meta.url))
if (!existsSync(join(here, 'node_modules/@jax-js/jax')))
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: here, stdio: 'inherit' })
process.exitCode = await runBench(
  join(here, 'compare.ts'),
  process.argv.slice(2),
  join(here, 'build'),
)
