// node bench/peers/run.mjs [training] [--peer web] [--size B] [--threads 1]…: compares a frame of a
// stream, or a training step, with another runtime, which is installed here on first use.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runBench } from '../run.mjs'

const here = dirname(fileURLToPath(import.meta.url))
if (!existsSync(join(here, 'node_modules/@jax-js/jax')))
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: here, stdio: 'inherit' })
const args = process.argv.slice(2)
const entry = args[0] === 'training' ? `${args.shift()}.ts` : 'compare.ts'
process.exitCode = await runBench(join(here, entry), args, join(here, 'build'))
