/**
 * The compare page, driven as a person would, in Chromium. Needs a build with the page (node
 * examples/demo/build.mjs), with onnxruntime-web beside it (npm ci --prefix bench/peers
 * --ignore-scripts), and npm install --prefix test/platforms.
 *
 *     node test/platforms/compare.mjs [--screenshots folder]
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { accessible } from './accessible.mjs'
import { paths } from './browsers.mjs'
import { ISOLATED, serve } from './serve.mjs'

const TIMEOUT = 180_000

const folder = fileURLToPath(new URL('../../dist/demo/', import.meta.url))
const shots = process.argv[2] === '--screenshots' ? process.argv[3] : null
if (shots) mkdirSync(shots, { recursive: true })

const server = await serve(folder, { headers: ISOLATED })
const address = new URL('compare.html', server.address).href
const browser = await chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox'] })

const until = (page, test, argument) => page.waitForFunction(test, argument, { timeout: TIMEOUT })
const ended = (page) => until(page, () => !document.getElementById('run').disabled)
const showsMessage = (page, pattern) =>
  until(
    page,
    (source) =>
      new RegExp(source).test(document.getElementById('message').textContent) &&
      !document.getElementById('message').hidden,
    pattern.source,
  )
const count = (page, selector) => page.locator(selector).count()
const json = (value) => ({
  name: 'other.json',
  mimeType: 'application/json',
  buffer: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
})
async function measure(page, { seconds = 0.02, parts }) {
  await page.fill('[name=seconds]', String(seconds))
  for (const part of ['kernels', 'frame', 'growth', 'peer'])
    await page.setChecked(`[name=${part}]`, parts.includes(part))
  await page.click('#run')
}
async function download(page, button) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(button)])
  return readFileSync(await file.path(), 'utf8')
}

let saved
const checks = {
  async 'kernels and a frame are measured, with progress, and drawn'(page) {
    await measure(page, { parts: ['kernels', 'frame'] })
    await until(
      page,
      () =>
        /^Measuring .*, about \d+ s left$/.test(document.getElementById('doing').textContent) &&
        document.getElementById('progress').value > 0,
    )
    await ended(page)
    assert.match(await page.locator('#doing').textContent(), /^Done in \d+ s\.$/)
    assert.equal(await count(page, '.roofline'), 1)
    assert.equal(await count(page, '.roofline .roof'), 1)
    assert((await count(page, '.roofline .label')) > 10)
    assert.equal(await count(page, '.bars li'), 1)
    assert.match(await page.locator('#results').textContent(), /Chromium \d+/)
  },
  async 'onnxruntime-web gives the same logits, and is drawn beside'(page) {
    await measure(page, { seconds: 0.05, parts: ['peer'] })
    await ended(page)
    assert.equal(
      await page.locator('#message').isHidden(),
      true,
      await page.locator('#message').textContent(),
    )
    assert.deepEqual(await page.locator('.bars li > span:first-child').allTextContents(), [
      'trecvit',
      'onnxruntime-web',
    ])
    const [, difference] = /within (\S+) of each other/.exec(
      await page.locator('#results').textContent(),
    )
    assert(Number(difference) < 1e-4)
  },
  async 'saved as JSON and as a page of its own'(page) {
    saved = JSON.parse(await download(page, '#save'))
    assert.deepEqual(
      saved.map(({ bench }) => bench),
      ['kernels', 'frame', 'onnxruntime-web'],
    )
    const html = await download(page, '#savePage')
    assert.match(html, /^<!doctype html>/)
    assert(!/<script|https?:/.test(html))
  },
  async 'JSON of other machines makes one chart'(page) {
    const other = saved.map((report) => ({
      ...report,
      facts: { ...report.facts, cpu: 'Another <processor>' },
    }))
    await page.setInputFiles('#open', [json(other)])
    await until(page, () => document.querySelectorAll('.roofline .roof').length === 2)
    assert.equal(await count(page, '.roofline'), 1)
    assert.equal(await count(page, '.bars li'), 4)
    assert.match(await page.locator('.legend').first().textContent(), /Another <processor>/)
    await page.evaluate(
      (text) => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([text], 'dropped.json'))
        dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }))
      },
      JSON.stringify(
        saved.map((report) => ({ ...report, facts: { ...report.facts, runtime: 'Node 24' } })),
      ),
    )
    await until(page, () => document.querySelectorAll('.roofline .roof').length === 3)
  },
  async 'no violation of accessibility, light and dark'(page) {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      await accessible(page, colorScheme)
    }
  },
  async 'what is no report is one sentence, and the page goes on'(page) {
    for (const [contents, sentence] of [
      ['not JSON', /^"other\.json" is not JSON; expected a file of .*\.$/],
      ['{"top":[]}', /^"other\.json" holds no bench reports; .*\.$/],
    ]) {
      await page.setInputFiles('#open', [json(contents)])
      await showsMessage(page, sentence)
    }
    await accessible(page, 'an error')
    await page.click('#clear')
    assert.equal(await page.locator('#results').textContent(), '')
    await measure(page, { parts: [] })
    await showsMessage(page, /^Nothing to measure was chosen/)
  },
  async 'Stop ends with what was measured'(page) {
    await measure(page, { seconds: 0.5, parts: ['kernels', 'frame'] })
    await until(page, () => document.getElementById('progress').value > 0.1)
    await page.click('#stop')
    await ended(page)
    assert.match(
      await page.locator('#doing').textContent(),
      /^Stopped; what was measured is below\.$/,
    )
    assert.equal(await count(page, '#results h2:text-is("kernels")'), 1)
    assert.equal(await count(page, '#results h2:text-is("frame")'), 0)
  },
  async 'without onnxruntime-web one sentence says how to get it'() {
    // In a page of its own: a route that is set while a worker ends may wait for it for ever.
    const page = await context.newPage()
    await page.route('**/ort/**', (route) => route.fulfill({ status: 404 }))
    await page.goto(address)
    await measure(page, { parts: ['peer'] })
    await showsMessage(
      page,
      /^onnxruntime-web is not beside this page: run "npm ci --prefix bench\/peers/,
    )
    await ended(page)
  },
}

let [passed, failed] = [0, 0]
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } })
const page = await context.newPage()
page.on('pageerror', (error) => console.log(`error of the page: ${error.message}`))
await page.goto(address)
for (const [name, work] of Object.entries(checks)) {
  const start = performance.now()
  try {
    await work(page)
    passed++
    console.log(`ok    ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message.slice(0, 1500)}`)
    console.log(
      `      the page says: ${await page.locator('#doing').textContent()} | ` +
        `${await page.locator('#message').textContent()}`,
    )
  }
}
if (shots && saved) {
  for (const [width, height] of [
    [1440, 1100],
    [390, 844],
  ]) {
    for (const colorScheme of ['light', 'dark']) {
      const shown = await (
        await browser.newContext({ viewport: { width, height }, colorScheme })
      ).newPage()
      await shown.goto(page.url())
      await shown.setInputFiles('#open', [
        json(saved),
        json(
          saved.map((report) => ({
            ...report,
            facts: { ...report.facts, runtime: 'Another runtime 1' },
          })),
        ),
      ])
      await shown.locator('.roofline').waitFor()
      await shown.screenshot({
        path: join(shots, `compare-${width}-${colorScheme}.png`),
        fullPage: true,
      })
      await shown.context().close()
    }
  }
}
await browser.close()
server.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
