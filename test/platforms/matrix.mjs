/**
 * Nine runtimes, one table: the logits of the built-in and the golden models must have the same bits in all of them, for 1, 2 and 4 threads and
 * for every way to cut a video into chunks, and be within the bound on the GPU of those that have one. Needs a build, and
 * npm install --prefix test/platforms; VK_DRIVER_FILES names the driver.
 *
 *     node test/platforms/matrix.mjs [--write] [runtime ...]
 *
 * --write makes what comes out the expected hashes. A runtime that is missing is a failure where CI is set, else a line.
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inPage, paths } from './browsers.mjs'
import { startWorkerd } from './workerd.mjs'

/** Largest error on a GPU, relative to the largest logit. */
const BOUND = 1e-4
/** Milliseconds for one runtime. */
const PATIENCE = 300_000

const here = fileURLToPath(new URL('.', import.meta.url))
const installed = (path) => join(here, 'node_modules', path)
const hashesFile = join(here, 'hashes.json')
const expected = existsSync(hashesFile) ? JSON.parse(readFileSync(hashesFile, 'utf8')) : {}

/** A program that runs report.mjs. */
const program = (file, ...args) => ({ file, report: () => byProgram(file, args) })

const runtimes = {
  'Node 20': program(process.env.NODE20 ?? process.execPath),
  'Node 22': program(installed('node22/bin/node')),
  'Node 24': program(installed('node24/bin/node')),
  'Node 26': program(installed('node26/bin/node')),
  'Deno': program(installed('@deno/linux-x64-glibc/deno'), 'run', '-A'),
  'Bun': program(installed('@oven/bun-linux-x64/bin/bun')),
  'Chromium': { file: paths.chromium, report: () => byPage('chromium') },
  'Firefox': { file: paths.firefox, report: () => byPage('firefox') },
  'workerd': { file: installed('miniflare'), report: inWorkerd },
}

async function byProgram(file, args) {
  const { stdout } = await promisify(execFile)(file, [...args, join(here, 'report.mjs')], { timeout: PATIENCE, maxBuffer: 1e8 })
  const [, json] = /^answers (.*)$/m.exec(stdout) ?? []
  if (!json) throw new Error(`it printed no answers: ${stdout.slice(-500)}`)
  const version = (await promisify(execFile)(file, ['--version'])).stdout.split('\n')[0]
  return { version, ...JSON.parse(json) }
}

async function byPage(name) {
  return inPage(name, async (page, version) => ({ version, ...await page.evaluate(async () => {
    const { TRecViT } = await import('/dist/index.js')
    const { answers } = await import('/test/platforms/answers.mjs')
    return answers(TRecViT, async (file) => (await fetch(`/${file}`)).arrayBuffer())
  }) }))
}

async function inWorkerd() {
  const worker = await startWorkerd(join(here, 'answersInWorkerd.js'))
  try {
    const report = await (await worker.dispatchFetch('http://localhost/')).json()
    if (report.error) throw new Error(report.error)
    return { version: JSON.parse(readFileSync(installed('workerd/package.json'), 'utf8')).version, ...report }
  } finally {
    await worker.dispose()
  }
}

const only = process.argv.slice(2).filter((argument) => argument !== '--write')
const rows = []
let [passed, failed] = [0, 0]
for (const [name, { file, report }] of Object.entries(runtimes)) {
  if (only.length && !only.includes(name)) continue
  const start = performance.now()
  try {
    if (!existsSync(file)) {
      if (process.env.CI) throw new Error(`it is not installed (${file})`)
      console.log(`skip  ${name} is not installed`)
      continue
    }
    const { version, hashes, threads, reason, relaxed, adapter, error, noGpu } = await Promise.race([
      report(), new Promise((_, reject) => setTimeout(() => reject(new Error(`no answer within ${PATIENCE / 1000} s`)), PATIENCE).unref()),
    ])
    if (process.argv.includes('--write')) for (const [model, hash] of Object.entries(hashes)) expected[model] ??= hash
    for (const [model, hash] of Object.entries(hashes)) if (hash !== expected[model]) throw new Error(`the logits of "${model}" expected the hash ${expected[model]}, got ${hash}`)
    if (error !== null && !(error <= BOUND)) throw new Error(`the GPU expected an error of at most ${BOUND} of the largest logit, got ${error}`)
    rows.push([name, version.replace(/^v|^deno | \(.*/g, ''), relaxed ? 'yes' : 'no', threads.join(', '), adapter ?? '–', error === null ? '–' : error.toExponential(1)])
    passed++
    console.log(`ok    ${name} ${version}: the same bits for threads ${threads.join(', ')}${reason ? ` (${reason})` : ''}; ${adapter ? `${adapter}: ${error.toExponential(1)}` : `no GPU${noGpu ? ` (${noGpu})` : ''}`} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}
if (process.argv.includes('--write')) writeFileSync(hashesFile, `${JSON.stringify(expected, null, 2)}\n`)
console.log(`\n| runtime | version | relaxed SIMD | threads | WebGPU adapter | worst GPU error |\n|---|---|---|---|---|---|\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
