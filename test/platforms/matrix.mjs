/**
 * Nine runtimes, one table: the logits of the built-in and the golden models, and the parameters of
 * a trained one, must have the same bits in all of them, for 1, 2 and 4 threads and for every way
 * to cut a video into chunks, and be within the bound on the GPU of those that have one. Needs a
 * build, and npm install --prefix test/platforms; VK_DRIVER_FILES names the driver.
 *
 *     node test/platforms/matrix.mjs [--write] [runtime ...]
 *
 * --write makes what comes out the expected hashes. A runtime that is missing is a failure where CI
 * is set, else a line.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inPage, paths, serveTree, withWebgpu } from './browsers.mjs'
import { inFirefox } from './marionette.mjs'
import { installed, programs, runIn, TIMEOUT } from './runtimes.mjs'
import { startWorkerd } from './workerd.mjs'

/** Largest error on a GPU, relative to the largest logit. */
const BOUND = 1e-4

const here = fileURLToPath(new URL('.', import.meta.url))
const hashesFile = join(here, 'hashes.json')
const expected = existsSync(hashesFile) ? JSON.parse(readFileSync(hashesFile, 'utf8')) : {}

const runtimes = {
  ...Object.fromEntries(
    Object.entries(programs).map(([name, [file]]) => [
      name,
      { file, report: () => runIn(name, 'report.mjs') },
    ]),
  ),
  Chromium: { file: paths.chromium, report: () => inPage('chromium', answersIn) },
  Firefox: { file: paths.firefox, report: inFirefoxPage },
  workerd: { file: installed('miniflare'), report: inWorkerd },
}

async function answersIn(page, version) {
  const found = await page.evaluate(async () => {
    const inference = await import('/dist/index.js')
    const train = await import('/dist/train/index.js')
    const { answers } = await import('/test/platforms/answers.mjs')
    return answers({ ...inference, train }, async (file) => (await fetch(`/${file}`)).arrayBuffer())
  })
  return { version, ...found }
}

/** By Marionette: the models have threads. */
async function inFirefoxPage() {
  const { address, close } = await serveTree()
  try {
    return await inFirefox(address, answersIn, withWebgpu)
  } finally {
    close()
  }
}

async function inWorkerd() {
  const worker = await startWorkerd(join(here, 'answersInWorkerd.js'))
  try {
    const report = await (await worker.dispatchFetch('http://localhost/')).json()
    if (report.error) throw new Error(report.error)
    return {
      version: JSON.parse(readFileSync(installed('workerd/package.json'), 'utf8')).version,
      ...report,
    }
  } finally {
    await worker.dispose()
  }
}

const only = process.argv.slice(2).filter((argument) => argument !== '--write')
const rows = []
/** Builds, and how far those that may be are off. */
const described = (builds) =>
  Object.entries({ simd: 0, ...builds })
    .map(([build, off]) =>
      build.includes('relaxed') ? `${build} (${off.toExponential(1)})` : build,
    )
    .join(', ')
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
    const { version, hashes, threads, reason, builds, adapter, error, noGpu } = await Promise.race([
      report(),
      new Promise((_, reject) =>
        setTimeout(
          () => reject(new Error(`no answer within ${TIMEOUT / 1000} s`)),
          TIMEOUT,
        ).unref(),
      ),
    ])
    if (process.argv.includes('--write'))
      for (const [model, hash] of Object.entries(hashes)) expected[model] ??= hash
    for (const model of Object.keys({ ...expected, ...hashes }))
      if (hashes[model] !== expected[model])
        throw new Error(
          `the logits of "${model}" expected the hash ${expected[model]}, got ${hashes[model]}`,
        )
    if (error !== null && !(error <= BOUND))
      throw new Error(
        `the GPU expected an error of at most ${BOUND} of the largest logit, got ${error}`,
      )
    rows.push([
      name,
      version.replace(/^v|^deno | \(.*/g, ''),
      described(builds),
      threads.join(', '),
      adapter ?? '–',
      error === null ? '–' : error.toExponential(1),
    ])
    passed++
    const gpu = adapter
      ? `${adapter}: ${error.toExponential(1)}`
      : `no GPU${noGpu ? ` (${noGpu})` : ''}`
    console.log(
      `ok    ${name} ${version}: the same bits for threads ${threads.join(', ')}; ` +
        `${described(builds)}${reason ? ` (${reason})` : ''}; ` +
        `${gpu} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
    )
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}
if (process.argv.includes('--write'))
  writeFileSync(hashesFile, `${JSON.stringify(expected, null, 2)}\n`)
console.log(
  '\n| runtime | version | kernels | threads | WebGPU adapter | worst GPU error |\n' +
    `|---|---|---|---|---|---|\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`,
)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
