/**
 * Latency of the demo page that `trecvit serve` shows, in a Chromium that has not seen it: the
 * first paint within a second, the first answer within two. Needs a build with the page (node
 * examples/demo/build.mjs) and npm install --prefix test/platforms; the machine has nothing else to
 * do.
 *
 *     node test/platforms/pageLatency.mjs
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'

const VISITS = 5
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

const browser = await chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox'] })
const visits = []
for (let visit = 0; visit < VISITS; visit++) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } })
  const page = await context.newPage()
  await page.addInitScript(observe)
  await page.goto(address)
  await page.waitForFunction(() => globalThis.firstAnswer)
  visits.push(
    await page.evaluate(() => ({
      paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
      answer: globalThis.firstAnswer,
      label: document.getElementById('label').textContent,
    })),
  )
  await context.close()
}
await browser.close()

const median = (of) => visits.map(of).sort((a, b) => a - b)[VISITS >> 1]
const [paint, answer] = [median((visit) => visit.paint), median((visit) => visit.answer)]
console.log(
  `first paint after ${paint.toFixed(0)} ms (at most ${PAINT}), first answer ` +
    `"${visits[0].label}" after ${answer.toFixed(0)} ms (at most ${ANSWER})`,
)
process.exit(paint <= PAINT && answer <= ANSWER ? 0 : 1)
