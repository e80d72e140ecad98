/**
 * The demo page, driven as a person would: in Chromium all of it, in Firefox what its engine can. Needs a build with the page
 * (node examples/demo/build.mjs) and npm install --prefix test/platforms.
 *
 *     node test/platforms/demo.mjs [--screenshots folder]
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'
import { inFirefox } from './marionette.mjs'
import { ISOLATED, serve } from './serve.mjs'

/** Bytes, gzipped, of the page's own JavaScript. */
const BUDGET = 150 * 1024
const PATIENCE = 60_000

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, 'dist/demo')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = process.argv[2] === '--screenshots' ? process.argv[3] : null
if (shots) mkdirSync(shots, { recursive: true })
const scratch = mkdtempSync(join(tmpdir(), 'trecvit-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

/** What the command line says of the clip. */
const expected = JSON.parse(execFileSync(process.execPath, [join(root, 'dist/cli/index.js'), 'classify', '--json'], { encoding: 'utf8' })).top[0]
const camera = join(scratch, 'camera.y4m')
execFileSync('ffmpeg', ['-loglevel', 'error', '-i', join(root, 'models/tour.mp4'), '-pix_fmt', 'yuv420p', camera])

const server = await serve(folder, { headers: ISOLATED, pages: { '/': readFileSync(join(folder, 'index.html')) } })
const plain = await serve(folder, { pages: { '/': readFileSync(join(folder, 'index.html')) } })

const text = (page, id) => page.locator(`#${id}`).textContent()
const times = (page) => page.evaluate(() => [...globalThis.timeline.times])
const until = (page, test, argument) => page.waitForFunction(test, argument, { timeout: PATIENCE })
const said = (page, pattern) => until(page, (source) => new RegExp(source).test(document.getElementById('message').textContent), pattern.source)
const answered = (page, more = 0) => until(page, (count) => globalThis.timeline.times.length > count, more)
/** Waits until a video plays and some frames have been answered. */
const plays = (page) => until(page, () => document.getElementById('play').textContent === 'Pause' && globalThis.timeline.times.length > 3)
/** Pauses, and waits until what was under way is there. */
async function pause(page) {
  if (await text(page, 'play') === 'Pause') await page.click('#play')
  await until(page, () => document.getElementById('play').textContent === 'Play')
  await page.waitForTimeout(300)
}
async function seek(page, seconds) {
  await page.locator('#scrub').evaluate((scrub, value) => {
    scrub.value = value
    scrub.dispatchEvent(new Event('change'))
  }, String(seconds))
}

const checks = {
  async 'file in, label out: that of the command line'(page) {
    await answered(page, 3)
    await seek(page, 100)
    await said(page, /^Over all \d+ frames/)
    assert.match(await text(page, 'message'), new RegExp(`^Over all 391 frames: ${expected.label} \\(${Math.round(100 * expected.prob)} %\\)\\.$`))
    assert.equal((await times(page)).length, 391)
  },
  async 'play, pause, step, reset, scrub'(page) {
    await page.click('#play')
    await plays(page)
    await pause(page)
    const before = await times(page)
    await page.waitForTimeout(300)
    assert.deepEqual(await times(page), before, 'a paused video goes on')
    await page.click('#step')
    await answered(page, before.length)
    assert.equal((await times(page)).length, before.length + 1)
    await page.click('#reset')
    await until(page, () => globalThis.timeline.times.length === 0)
    await seek(page, 5)
    await until(page, () => globalThis.timeline.times.at(-1) >= 5 - 1e-3)
    const anew = await times(page)
    assert.equal(anew[0], 0, 'the stream is computed from the beginning')
    assert.equal(anew.length, 151)
    assert.equal(await text(page, 'label'), 'static')
  },
  async 'other kernels and matrices in mid-stream: an unbroken timeline'(page) {
    const before = (await times(page)).length
    await page.check('[name=deterministic]')
    await until(page, () => /^CPU: simd/.test(document.getElementById('device').textContent))
    await page.selectOption('[name=dtype]', 'int8')
    await until(page, () => /int8$/.test(document.getElementById('device').textContent))
    await page.click('#step')
    await answered(page, before)
    assert.match(await text(page, 'prob'), new RegExp(`frame ${before + 1}$`))
    await page.selectOption('[name=dtype]', '')
    await until(page, () => /f16$/.test(document.getElementById('device').textContent))
  },
  async 'no serious violation for those who do not see or point'(page) {
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => globalThis.axe.run())
    assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [])
  },
  async 'what is no video is one sentence, and the page goes on'(page) {
    await page.setInputFiles('#file', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('this is no video at all, but a text of some length') })
    await said(page, /is no video of a known kind/)
    await page.click('#sample')
    await plays(page)
    await pause(page)
  },
}

const gpuChecks = {
  async 'to the GPU and back in mid-stream: an unbroken timeline'(page) {
    const before = (await times(page)).length
    await page.selectOption('[name=device]', 'webgpu')
    await until(page, () => /^WebGPU/.test(document.getElementById('device').textContent))
    for (let count = before; count < before + 3; count++) {
      await page.click('#step')
      await answered(page, count)
    }
    assert.match(await text(page, 'prob'), new RegExp(`frame ${before + 3}$`))
  },
  async 'the device is destroyed, and nothing is missing'(page) {
    const before = (await times(page)).length
    await page.click('#lose')
    for (let count = before; count < before + 3; count++) {
      await page.click('#step')
      await answered(page, count)
    }
    await said(page, /^The GPU was lost; the stream went on .*, and no frame is missing\.$/)
    assert.match(await text(page, 'prob'), new RegExp(`frame ${before + 3}$`))
    const all = await times(page)
    all.slice(1).forEach((time, index) => assert(Math.abs(time - all[index] - 1 / 30) < 0.01, `a gap at frame ${index + 1}`))
  },
}

let [passed, failed] = [0, 0]
async function check(name, work, page) {
  const start = performance.now()
  try {
    await work()
    passed++
    console.log(`ok    ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message.slice(0, 1500)}`)
    if (page) console.log(`      the page says: ${await page.evaluate(() => ['label', 'device', 'why', 'message', 'play'].map((id) => document.getElementById(id).textContent).join(' | '))}`)
  }
}

async function inPage(browser, options, address, work) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  page.on('pageerror', (error) => console.log(`error of the page: ${error.message}`))
  await page.goto(address)
  try {
    await work(page)
  } finally {
    await context.close()
  }
}

const weight = gzipSync(readFileSync(join(folder, 'page.js'))).length
await check(`the page weighs ${weight} bytes without the engine`, async () => assert(weight <= BUDGET))

const launchChromium = (...args) => chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-dawn-features=disable_workgroup_init', ...args] })
const browser = await launchChromium('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', `--use-file-for-fake-video-capture=${camera}`)
await inPage(browser, { viewport: { width: 1440, height: 1000 }, permissions: ['camera'] }, server.address, async (page) => {
  for (const [name, work] of Object.entries({ ...checks, ...gpuChecks })) await check(`Chromium: ${name}`, () => work(page), page)
  await check('Chromium: a camera is classified live', async () => {
    await page.click('#camera')
    await until(page, () => globalThis.timeline.times.length > 20)
    assert.match(await text(page, 'label'), /\w/)
    assert(Number(await text(page, 'fps')) > 2)
  })
})
await inPage(browser, { viewport: { width: 1440, height: 1000 } }, plain.address, (page) => check('Chromium: without isolation one thread computes, and the page says so', async () => {
  await answered(page, 3)
  await until(page, () => /^This page is not cross-origin isolated/.test(document.getElementById('why').textContent))
  assert.match(await text(page, 'device'), /1 thread,/)
}))
if (shots) {
  for (const [width, height] of [[1440, 1100], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      await inPage(browser, { viewport: { width, height }, colorScheme }, server.address, async (page) => {
        await answered(page, 3)
        await seek(page, 9)
        await until(page, () => globalThis.timeline.times.at(-1) >= 9 - 1e-3)
        await page.click('#step')
        await page.waitForTimeout(500)
        await page.screenshot({ path: join(shots, `${width}-${colorScheme}.png`), fullPage: width < 500 })
      })
    }
  }
}
await browser.close()

const strict = await launchChromium()
await inPage(strict, {}, server.address, (page) => check('Chromium: a camera that is not allowed is one sentence', async () => {
  await answered(page, 3)
  await page.click('#camera')
  await said(page, /^The camera (was not allowed|is not there)/)
  await page.click('#step')
}))
await strict.close()

await inFirefox(server.address, async (page) => {
  for (const name of ['file in, label out: that of the command line', 'play, pause, step, reset, scrub', 'other kernels and matrices in mid-stream: an unbroken timeline']) await check(`Firefox: ${name}`, () => checks[name](page), page)
})
server.close()
plain.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
