/** Runtimes that run a module from the command line, and what one prints there. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = fileURLToPath(new URL('.', import.meta.url))
/** Milliseconds for one runtime. */
export const TIMEOUT = 600_000

/** Where npm install --prefix test/platforms puts a file. */
export const installed = (path) => join(here, 'node_modules', path)

/** The command of each: a file, and arguments that go before the module. */
export const programs = {
  'Node 20': [process.env.NODE20 ?? process.execPath],
  'Node 22': [installed('node22/bin/node')],
  'Node 24': [installed('node24/bin/node')],
  'Node 26': [installed('node26/bin/node')],
  Deno: [installed('@deno/linux-x64-glibc/deno'), 'run', '-A'],
  Bun: [installed('@oven/bun-linux-x64/bin/bun')],
}

/**
 * Runs a module of this folder, which prints a line `answers {…}`: what it says, and the version of
 * the runtime.
 */
export async function runIn(name, module) {
  const [file, ...args] = programs[name]
  const { stdout } = await promisify(execFile)(file, [...args, join(here, module)], {
    timeout: TIMEOUT,
    maxBuffer: 1e8,
  })
  const [, json] = /^answers (.*)$/m.exec(stdout) ?? []
  if (!json) throw new Error(`it printed no answers: ${stdout.slice(-500)}`)
  const version = (await promisify(execFile)(file, ['--version'])).stdout.split('\n')[0]
  return { version, ...JSON.parse(json) }
}
