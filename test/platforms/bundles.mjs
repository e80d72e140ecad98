/**
 * Bundles of the packed package, made without configuration. Each runs in a page of Chromium
 * under a policy without `unsafe-eval`. The built-in model must answer with the bits that it has
 * everywhere, and a video must be decoded. One file for Node must decode a video without
 * node_modules. Needs a build, ffmpeg, and npm install --prefix test/platforms.
 *
 *     node test/platforms/bundles.mjs [names ...]
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build as esbuild } from 'esbuild'
import { chromium } from 'playwright-core'
import { rollup } from 'rollup'
import { build as vite, createServer as viteServer } from 'vite'
import webpack from 'webpack'
import { paths } from './browsers.mjs'
import { installPacked } from './packed.mjs'
import { ISOLATED, serve } from './serve.mjs'

const [, expectedHash] = /expectedHash = '(\w+)'/.exec(
  readFileSync(new URL('../../src/cli/selfTest.ts', import.meta.url), 'utf8'),
)
/**
 * Nothing is evaluated but WebAssembly; workers come from the page itself or from text that it
 * holds.
 */
const STRICT = {
  'content-security-policy':
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:",
}

/** A video and its number of frames. */
const CLIP = fileURLToPath(new URL('../media/h264.mp4', import.meta.url))
const FRAMES = 10

const { folder } = installPacked()
copyFileSync(CLIP, join(folder, 'clip.mp4'))
const entry = join(folder, 'main.js')
const page = (script) =>
  '<!doctype html><title>bundle</title><link rel="icon" href="data:,">' +
  `<script type="module" src="${script}"></script>`
writeFileSync(join(folder, 'index.html'), page('./main.js'))
writeFileSync(
  entry,
  `
import { TRecViT } from 'trecvit'
globalThis.test = () => answer('builtin')
globalThis.testVideo = async () => {
  const model = await TRecViT.load('builtin', { device: 'wasm' })
  const { frames } = await model.classify(new URL('/clip.mp4', location.href))
  await model.dispose()
  return frames
}
globalThis.testAsset = () => answer(new URL('trecvit/motion.safetensors', import.meta.url))
async function answer(source) {
  const model = await TRecViT.load(source, { device: 'wasm', deterministic: true })
  const stream = model.stream({ average: 'all' })
  const logits = []
  let seed = 1
  for (let frame = 0; frame < 16; frame++) {
    const data = Uint8Array.from(
      { length: 96 * 96 * 3 },
      () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
    )
    logits.push(...(await stream.push({ data, shape: [96, 96, 3] })).logits.data)
  }
  const { device } = model
  await model.dispose()
  const digest = await crypto.subtle.digest('SHA-256', Float32Array.from(logits))
  const bytes = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
  return { device, hash: bytes.join('') }
}
`,
)

/** Makes a bundle in `into` and gives the path of its entry there. */
const bundlers = {
  esbuild: (into) =>
    esbuild({
      entryPoints: [entry],
      outdir: into,
      bundle: true,
      splitting: true,
      format: 'esm',
      logLevel: 'error',
    }).then(() => 'main.js'),
  'esbuild, one file': (into) =>
    esbuild({
      entryPoints: [entry],
      outdir: into,
      bundle: true,
      format: 'esm',
      logLevel: 'error',
    }).then(() => 'main.js'),
  'Rollup with node-resolve': async (into) => {
    const bundle = await rollup({ input: entry, plugins: [nodeResolve()], logLevel: 'silent' })
    await bundle.write({ dir: into })
    return 'main.js'
  },
  webpack: (into) =>
    new Promise((done, fail) =>
      webpack(
        {
          mode: 'production',
          context: folder,
          entry,
          output: { path: into, filename: 'main.js' },
          performance: false,
        },
        (error, stats) => {
          if (error || stats.hasErrors() || stats.hasWarnings())
            fail(error ?? new Error(stats.toString({ all: false, errors: true, warnings: true })))
          else done('main.js')
        },
      ),
    ),
  'Vite build': async (into) => {
    await vite({
      root: folder,
      configFile: false,
      logLevel: 'error',
      build: { outDir: into, chunkSizeWarningLimit: 2000 },
    })
    return null
  },
}

const browser = await chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox'] })
let [passed, failed] = [0, 0]

/** Bundlers that make an asset of a file of a package. */
const withAssets = ['webpack', 'Vite build', 'Vite dev server']

/** Opens an address, runs its tests and compares the bits. */
async function check(name, open) {
  if (process.argv.length > 2 && !process.argv.slice(2).includes(name)) return
  const start = performance.now()
  const tab = await browser.newPage()
  const messages = []
  tab.on('console', (message) => messages.push(message.text()))
  tab.on('pageerror', (error) => messages.push(error.message))
  let stop
  try {
    const opened = await open()
    stop = opened.close
    await tab.goto(opened.address)
    await tab.waitForFunction(() => globalThis.test, undefined, { timeout: 30_000 })
    const { device, hash } = await tab.evaluate(() => globalThis.test())
    const hashes = [hash]
    if (withAssets.includes(name)) {
      hashes.push((await tab.evaluate(() => globalThis.testAsset())).hash)
    }
    for (const got of hashes) {
      if (got !== expectedHash) throw new Error(`expected the hash ${expectedHash}, got ${got}`)
    }
    const frames = await tab.evaluate(() => globalThis.testVideo())
    if (frames !== FRAMES) throw new Error(`expected ${FRAMES} frames of a video, got ${frames}`)
    passed++
    console.log(
      `ok    ${name}: ${device.threads} threads${device.reason ? ` (${device.reason})` : ''}, ` +
        `${((performance.now() - start) / 1000).toFixed(1)} s`,
    )
  } catch (error) {
    failed++
    console.log(
      `FAIL  ${name}: ${error.message}\n${messages.map((line) => `      ${line}`).join('\n')}`,
    )
  } finally {
    await tab.close()
    await stop?.()
  }
}

for (const [name, bundle] of Object.entries(bundlers)) {
  await check(name, async () => {
    const into = join(folder, 'out', name.replace(/\W/g, ''))
    mkdirSync(into, { recursive: true })
    const script = await bundle(into)
    copyFileSync(CLIP, join(into, 'clip.mp4'))
    return serve(into, {
      headers: { ...ISOLATED, ...STRICT },
      ...(script && { pages: { '/': page(`/${script}`) } }),
      ...(!script && { pages: { '/': readFileSync(join(into, 'index.html'), 'utf8') } }),
    })
  })
}
await check('Vite dev server', async () => {
  const server = await viteServer({
    root: folder,
    configFile: false,
    logLevel: 'error',
    server: { port: 0, host: '127.0.0.1', headers: ISOLATED },
  })
  await server.listen()
  return { address: server.resolvedUrls.local[0], close: () => server.close() }
})
// As from a CDN: no bundler, the files of the package as they are. Import maps are inline, so the
// policy names this one by its hash.
await check('static files and an import map', async () => {
  const map = '{"imports":{"trecvit":"/node_modules/trecvit/dist/index.js"}}'
  const digest = Buffer.from(
    await crypto.subtle.digest('SHA-256', new TextEncoder().encode(map)),
  ).toString('base64')
  const policy = STRICT['content-security-policy'].replace(
    "script-src 'self'",
    `script-src 'self' 'sha256-${digest}'`,
  )
  return serve(folder, {
    headers: { ...ISOLATED, 'content-security-policy': policy },
    pages: {
      '/': page('/main.js').replace('<script', `<script type="importmap">${map}</script><script`),
    },
  })
})
await browser.close()

/** Bundles a program into one file, and runs it in a folder without node_modules. */
async function checkNode(name) {
  if (process.argv.length > 2 && !process.argv.slice(2).includes(name)) return
  const alone = mkdtempSync(join(tmpdir(), 'trecvit-'))
  try {
    const program = join(folder, 'node.js')
    writeFileSync(
      program,
      `
import { TRecViT } from 'trecvit'
import { openVideo } from 'trecvit/video'
const model = await TRecViT.load('builtin', { device: 'wasm' })
console.log((await model.classify(await openVideo(process.argv[2]))).frames)
await model.dispose()
`,
    )
    await esbuild({
      entryPoints: [program],
      outfile: join(alone, 'main.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
    })
    const output = execFileSync(process.execPath, ['main.mjs', CLIP], { cwd: alone })
    if (Number(output) !== FRAMES) throw new Error(`expected ${FRAMES} frames, got ${output}`)
    passed++
    console.log(`ok    ${name}`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message}`)
  } finally {
    rmSync(alone, { recursive: true })
  }
}
await checkNode('esbuild, one file for Node')
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
