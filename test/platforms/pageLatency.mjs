/**
 * Latency of the demo page that `trecvit serve` shows, in a Chromium that has not seen it: the
 * first paint within a second, the first answer within two, on a machine where Chromium shows an
 * empty page in 370 ms. A slower machine, as a shared one is in some hours, has as many times that.
 * Needs a build with the page (node examples/demo/build.mjs) and npm install --prefix
 * test/platforms; the machine has nothing else to do.
 *
 *     node test/platforms/pageLatency.mjs
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'

const VISITS = 5
/** Milliseconds of `showEmpty` on the machine that the limits are for. */
const REFERENCE = 370
/** Milliseconds after the navigation, medians of the visits. */
const PAINT = 1000
const ANSWER = 2000

const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const server = spawn(process.execPath, [script, 'serve', '--port', '0'], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
process.on('exit', () => server.kill())
const [address] = /http:\/\/[^\s/]+/.exec(
  await new Promise((resolve) => server.stdout.once('data', (part) => resolve(String(part)))),
)

/** Runs in the page, before its own scripts. */
function observe() {
  const shown = () => {
    const label = document.getElementById('label')
    if (!label || label.classList.contains('waits')) return requestAnimationFrame(shown)
    globalThis.firstAnswer = performance.now()
  }
  requestAnimationFrame(shown)
}

/** Opens an empty page in a new profile, and closes it once it is painted. Returns how long. */
async function showEmpty() {
  const start = performance.now()
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto('data:text/html,<p>Empty</p>')
  await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length)
  await context.close()
  return performance.now() - start
}

const browser = await chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox'] })
const visits = []
for (let visit = 0; visit < VISITS; visit++) {
  const empty = await showEmpty()
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } })
  const page = await context.newPage()
  await page.addInitScript(observe)
  await page.goto(address)
  await page.waitForFunction(() => globalThis.firstAnswer)
  visits.push({
    empty,
    ...(await page.evaluate(() => ({
      paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
      answer: globalThis.firstAnswer,
      label: document.getElementById('label').textContent,
    }))),
  })
  await context.close()
}
await browser.close()

const median = (of) => visits.map(of).sort((a, b) => a - b)[VISITS >> 1]
const [empty, paint, answer] = ['empty', 'paint', 'answer'].map((key) =>
  median((visit) => visit[key]),
)
const slowness = Math.max(1, empty / REFERENCE)
console.log(
  `an empty page in ${empty.toFixed(0)} ms; first paint after ${paint.toFixed(0)} ms (at most ` +
    `${(PAINT * slowness).toFixed(0)}), first answer "${visits[0].label}" after ` +
    `${answer.toFixed(0)} ms (at most ${(ANSWER * slowness).toFixed(0)})`,
)
process.exit(paint <= PAINT * slowness && answer <= ANSWER * slowness ? 0 : 1)
