/**
 * The same video gives the same input of the model everywhere: hashes of clips of many kinds,
 * decoded by FFmpeg in WebAssembly in each runtime, and by the best that the runtime has of its own
 * where that hands out planes. Needs a build with the decoder (npm run build:decoder), and npm
 * install --prefix test/platforms.
 *
 *     node test/platforms/frames.mjs [--write]
 *
 * --write makes what comes out of Node the expected hashes. A runtime that is missing is a failure
 * where CI is set, else a line.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { inPage, paths } from './browsers.mjs'
import { programs, runIn } from './runtimes.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const hashesFile = fileURLToPath(new URL('tensors.json', import.meta.url))
const write = process.argv.includes('--write')
let expected = write ? null : JSON.parse(readFileSync(hashesFile, 'utf8'))

const runtimes = {
  ...Object.fromEntries(
    ['Node 20', 'Deno', 'Bun'].map((name) => [
      name,
      { file: programs[name][0], report: () => runIn(name, 'tensorsReport.mjs') },
    ]),
  ),
  Chromium: { file: paths.chromium, report: () => byPage('chromium') },
  Firefox: { file: paths.firefox, report: () => byPage('firefox') },
}

/** Pages know no packages: mediabunny comes in a bundle with the rest. */
async function byPage(name) {
  await build({
    entryPoints: [`${root}dist/video/index.js`],
    outdir: `${root}build/platforms/video`,
    bundle: true,
    splitting: true,
    format: 'esm',
    logLevel: 'error',
    absWorkingDir: root,
  })
  return inPage(name, async (page, version) => ({
    version,
    ...(await page.evaluate(async () => {
      const video = await import('/build/platforms/video/index.js')
      const { tensors } = await import('/test/platforms/tensors.mjs')
      const openVideo = (source, options) =>
        video.openVideo(source, { decoderUrl: '/dist/decoder.wasm', ...options })
      return tensors({ ...video, openVideo }, async (file) =>
        (await fetch(`/${file}`)).arrayBuffer(),
      )
    })),
  }))
}

let [passed, failed] = [0, 0]
for (const [name, { file, report }] of Object.entries(runtimes)) {
  const start = performance.now()
  try {
    if (!existsSync(file)) {
      if (process.env.CI) throw new Error(`it is not installed (${file})`)
      console.log(`skip  ${name} is not installed`)
      continue
    }
    const { version, wasm, auto } = await report()
    expected ??= wasm
    for (const clip of Object.keys(expected))
      if (wasm[clip] !== expected[clip])
        throw new Error(
          `the input made of ${clip} by the decoder in WebAssembly expected the hash ` +
            `${expected[clip]}, got ${wasm[clip]}`,
        )
    for (const [clip, hash] of Object.entries(auto))
      if (hash !== expected[clip])
        throw new Error(
          `the input made of ${clip} by its own decoder expected the hash ${expected[clip]}, ` +
            `got ${hash}`,
        )
    passed++
    console.log(
      `ok    ${name} ${version}: ${Object.keys(wasm).length} clips by FFmpeg in WebAssembly, ` +
        `${Object.keys(auto).length} of them by its own decoder too ` +
        `(${((performance.now() - start) / 1000).toFixed(1)} s)`,
    )
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}
if (write) writeFileSync(hashesFile, `${JSON.stringify(expected, null, 2)}\n`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
