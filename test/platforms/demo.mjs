/**
 * The demo page and Teach, driven as a person would: in Chromium all of it, in Firefox what its
 * engine can.
 * Needs a build with the page (node examples/demo/build.mjs) and npm install --prefix
 * test/platforms.
 *
 *     node test/platforms/demo.mjs [chromium|firefox]
 */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'
import {
  checks,
  eachFrameOnce,
  furtherChecks,
  cameraChecks as ofCamera,
  withoutGpu,
} from './demoChecks.mjs'
import {
  answered,
  camera,
  clip,
  folder,
  labels,
  movesOn,
  openTab,
  own,
  pause,
  plain,
  plays,
  root,
  scratch,
  server,
  shownTime,
  shows,
  showsMessage,
  text,
  times,
  until,
} from './demoTools.mjs'
import { inFirefox } from './marionette.mjs'
import { ISOLATED, serve } from './serve.mjs'
import { cameraChecks, clipChecks, refusedCamera, teachAddress } from './teachChecks.mjs'

/** Bytes, gzipped, of the page's own JavaScript. */
const BUDGET = 60 * 1024
/** Where storage.googleapis.com is, for these tests: nothing is downloaded. */
const NOWHERE = '127.0.0.1:9'

const only = process.argv[2]

/** What needs playwright's own keys and files, or a fake screen. */
const pointedChecks = {
  async 'keys: space plays and pauses, arrow right steps; tab shows where one is'(page) {
    await page.keyboard.press('Escape')
    await page.evaluate(() => document.activeElement.blur())
    await page.keyboard.press(' ')
    await plays(page)
    await page.keyboard.press(' ')
    await until(page, () => document.getElementById('play').textContent === 'Play')
    await page.waitForTimeout(300)
    const before = (await times(page)).length
    await page.keyboard.press('ArrowRight')
    await answered(page, before)
    await page.keyboard.press('Tab')
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle),
      'none',
    )
    await page.focus('#tabTimeline')
    await page.keyboard.press('ArrowRight')
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tabCode')
    assert(await page.locator('#code').isVisible())
  },
  async 'a mouse on the strip seeks; the chart, too'(page) {
    await openTab(page, 'timeline')
    const box = await page.locator('#strip').boundingBox()
    await page.mouse.click(box.x + 0.2 * box.width, box.y + 10)
    // Until then the chart may be replaced: it has a line for each class so far.
    await until(page, () => Math.abs(globalThis.timeline.now - 3) < 0.1)
    await page.locator('#chart .u-over').click({ position: { x: 4, y: 40 } })
    await until(page, () => /^0\.\d \//.test(document.getElementById('time').textContent))
  },
  async 'frames a second: as many as are asked for'(page) {
    await openTab(page, 'engine')
    await page.fill('[name=rate]', '5')
    await page.locator('[name=rate]').press('Tab')
    await until(
      page,
      () =>
        globalThis.timeline.times.length > 2 &&
        Math.abs(globalThis.timeline.times.at(-1) - globalThis.timeline.times.at(-2) - 0.2) < 0.02,
    )
  },
  async 'a pause while a video opens: its first frame, and it does not play'(page) {
    // In one task, so the worker has not opened the video yet.
    await page.evaluate(() => {
      const rate = document.querySelector('[name=rate]')
      rate.value = ''
      rate.dispatchEvent(new Event('change', { bubbles: true }))
      document.getElementById('play').click()
    })
    await until(page, () => globalThis.timeline.times.length === 1)
    await page.waitForTimeout(500)
    assert.deepEqual(await times(page), [0])
    assert.equal(await text(page, 'play'), 'Play')
  },
  async 'a model and its labels, dropped together'(page) {
    await page.evaluate(
      ([model, names]) => {
        const data = new DataTransfer()
        data.items.add(
          new File([Uint8Array.from(atob(model), (byte) => byte.charCodeAt(0))], 'dropped.npz'),
        )
        data.items.add(new File([names], 'names.txt'))
        document.body.dispatchEvent(
          new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }),
        )
      },
      [readFileSync(own).toString('base64'), readFileSync(labels, 'utf8')],
    )
    await shows(page, 'names', /^dropped\.npz names/)
    await page.click('#play')
    await shows(page, 'label', /^kind \d/)
    await openTab(page, 'model')
    await page.click('#builtin')
    await shows(page, 'modelName', /^Built in/)
    await pause(page)
  },
  async 'the screen is followed'(page) {
    await page.click('#screen')
    await until(
      page,
      () => globalThis.timeline.times.length > 5 && document.title.startsWith('Screen'),
    )
    assert.equal(await page.getAttribute('#screen', 'aria-pressed'), 'true')
    await page.click('#sample')
    await until(page, () => document.title.startsWith('Sample'))
    await plays(page)
    await pause(page)
    const all = await times(page)
    assert.deepEqual(
      all.map((time) => Math.round(time * 30)),
      all.map((_, frame) => frame),
      'no picture of the screen is among those of the sample',
    )
  },
}

const gpuChecks = {
  async 'to the GPU and back in mid-stream: an unbroken timeline'(page) {
    await openTab(page, 'engine')
    const before = (await times(page)).length
    await page.selectOption('[name=device]', 'webgpu')
    await shows(page, 'device', /^WebGPU/)
    for (let count = before; count < before + 3; count++) {
      await page.click('#step')
      await answered(page, count)
    }
    assert.match(await text(page, 'prob'), /over the last 8 frames$/)
  },
  async 'two frames are under way on the GPU, and no more'(page) {
    const worker = page.workers().find((one) => one.url().endsWith('/worker.js'))
    await worker.evaluate(() => {
      const [make, post] = [globalThis.createImageBitmap, globalThis.postMessage]
      // A picture is made before its frame is pushed.
      let underWay = 0
      globalThis.most = 0
      globalThis.createImageBitmap = (image) => {
        globalThis.most = Math.max(globalThis.most, ++underWay)
        return make(image)
      }
      globalThis.postMessage = (message, transfer) => {
        if (message.type === 'answer') underWay--
        post.call(globalThis, message, transfer)
      }
    })
    const before = (await times(page)).length
    await page.click('#play')
    await answered(page, before + 8)
    await pause(page)
    const most = await worker.evaluate(() => globalThis.most)
    assert.equal(most, 2)
  },
  'a seek, a pause and a step with frames under way: each once, in order': eachFrameOnce,
  async 'the device is destroyed, and nothing is missing'(page) {
    const before = (await times(page)).length
    await page.click('#lose')
    for (let count = before; count < before + 3; count++) {
      await page.click('#step')
      await answered(page, count)
    }
    await showsMessage(page, /^The GPU was lost\. The stream continues .*; no frame is missing\.$/)
    const all = await times(page)
    all
      .slice(1)
      .forEach((time, index) =>
        assert(Math.abs(time - all[index] - 1 / 30) < 0.01, `a gap at frame ${index + 1}`),
      )
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
    if (page) {
      const texts = await page.evaluate(() =>
        ['label', 'device', 'why', 'message', 'play', 'time', 'names', 'ready', 'caption']
          .map((id) => document.getElementById(id)?.textContent)
          .join(' | '),
      )
      console.log(`      the page says: ${texts}`)
    }
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

const launchChromium = (...args) =>
  chromium.launch({
    executablePath: paths.chromium,
    args: [
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--enable-dawn-features=disable_workgroup_init',
      `--host-resolver-rules=MAP storage.googleapis.com ${NOWHERE}`,
      ...args,
    ],
  })
const desktop = { viewport: { width: 1440, height: 1000 } }

/** Runs what the page says is its code, as a page of its own. */
async function runCode(browser, code) {
  const site = join(scratch, 'site')
  mkdirSync(site, { recursive: true })
  writeFileSync(join(site, 'code.js'), code)
  await build({
    entryPoints: [join(site, 'code.js')],
    outdir: join(site, 'bundle'),
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
    alias: {
      'trecvit/video': join(root, 'dist/video/index.js'),
      trecvit: join(root, 'dist/index.js'),
    },
  })
  copyFileSync(clip, join(site, 'lake.mp4'))
  const page = '<!doctype html><script type="module" src="bundle/code.js"></script>'
  const own = await serve(site, { headers: ISOLATED, pages: { '/': page } })
  const lines = []
  try {
    await inPage(browser, {}, 'about:blank', async (page) => {
      page.on('console', (message) => lines.push(message.text()))
      page.on('pageerror', (error) => lines.push(error.message))
      await page.goto(own.address)
      for (let tries = 0; tries < 600 && lines.length < 60; tries++) await page.waitForTimeout(100)
    })
  } finally {
    own.close()
  }
  return lines
}

async function testChromium() {
  const browser = await launchChromium(
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--auto-select-desktop-capture-source=Entire screen',
    `--use-file-for-fake-video-capture=${camera}`,
  )
  await inPage(browser, { ...desktop, permissions: ['camera'] }, server.address, async (page) => {
    const all = { ...checks, ...furtherChecks, ...pointedChecks, ...gpuChecks }
    for (const [name, work] of Object.entries(all))
      await check(`Chromium: ${name}`, () => work(page), page)
    await check('Chromium: the code on the page runs, and names the same', async () => {
      await page.goto(server.address)
      await openTab(page, 'code')
      const lines = await runCode(browser, await text(page, 'source'))
      assert.match(lines[20], /^static [\d.]+$/)
      assert.match(lines[50], /^pan right [\d.]+$/)
    })
    for (const [name, work] of Object.entries(ofCamera))
      await check(`Chromium: ${name}`, () => work(page), page)
  })
  await inPage(browser, { ...desktop, permissions: ['camera'] }, teachAddress, async (page) => {
    for (const [name, work] of Object.entries({ ...clipChecks, ...cameraChecks }))
      await check(`Chromium, Teach: ${name}`, () => work(page), page)
  })
  await inPage(browser, desktop, 'about:blank', (page) =>
    check(
      'Chromium: the page is painted before the engine is there, and nothing moves afterwards',
      async () => {
        await page.addInitScript(() => {
          globalThis.moved = 0
          new PerformanceObserver((list) =>
            list
              .getEntries()
              .forEach(
                ({ value, hadRecentInput }) => (globalThis.moved += hadRecentInput ? 0 : value),
              ),
          ).observe({ type: 'layout-shift', buffered: true })
        })
        // The engine comes only when something has been painted.
        let painted
        await page.route('**/worker.js', async (route) => {
          painted = await page.evaluate(
            () =>
              new Promise((done) =>
                new PerformanceObserver((list) => done(list.getEntries()[0].startTime)).observe({
                  type: 'paint',
                  buffered: true,
                }),
              ),
          )
          await route.continue()
        })
        await page.goto(server.address)
        await plays(page)
        await page.waitForTimeout(1500)
        assert(painted > 0 && painted < 2000, `painted after ${painted} ms`)
        const moved = await page.evaluate(() => globalThis.moved)
        assert(moved < 0.02, `moved by ${moved}`)
      },
    ),
  )
  await inPage(browser, { viewport: { width: 390, height: 844 } }, server.address, (page) =>
    check(
      'Chromium: on a phone the answer is on the first screen, and nothing is wider',
      async () => {
        await shows(page, 'label', /^static$/)
        await page.evaluate(() => scrollTo(0, 0))
        for (const id of ['caption', 'label', 'top']) {
          const { bottom } = await page.evaluate(
            (id) => document.getElementById(id).getBoundingClientRect(),
            id,
          )
          assert(bottom <= 844, `#${id} ends at ${bottom}`)
        }
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390)
      },
    ),
  )
  await inPage(browser, desktop, plain.address, (page) =>
    check('Chromium: without isolation one thread computes, and the page says so', async () => {
      await answered(page, 3)
      await openTab(page, 'engine')
      await shows(page, 'why', /^This page is not cross-origin isolated/)
      assert.match(await text(page, 'device'), /1 thread,/)
    }),
  )
  await browser.close()

  const strict = await launchChromium()
  await inPage(strict, {}, server.address, (page) =>
    check(
      'Chromium: a camera that is not allowed is one sentence; what plays goes on',
      async () => {
        await plays(page)
        await page.click('#camera')
        await showsMessage(
          page,
          /^The camera (is not allowed for this page: allow it|was not found: connect one)/,
        )
        assert.equal(await page.getAttribute('#sample', 'aria-pressed'), 'true')
        await movesOn(page, await shownTime(page))
      },
    ),
  )
  await inPage(strict, {}, teachAddress, (page) =>
    check('Chromium, Teach: a camera that is not allowed is one sentence', () =>
      refusedCamera(page),
    ),
  )
  await strict.close()
}

const testFirefox = () =>
  inFirefox(
    server.address,
    async (page) => {
      for (const [name, work] of Object.entries({
        ...checks,
        ...furtherChecks,
        'without WebGPU: one sentence, and the choice springs back': withoutGpu,
        ...ofCamera,
      }))
        await check(`Firefox: ${name}`, () => work(page), page)
      await page.goto(teachAddress)
      for (const [name, work] of Object.entries(clipChecks))
        await check(`Firefox, Teach: ${name}`, () => work(page), page)
    },
    {
      'network.proxy.type': 1,
      'network.proxy.ssl': '127.0.0.1',
      'network.proxy.ssl_port': 9,
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
    },
  )

const weight = gzipSync(readFileSync(join(folder, 'page.js'))).length
await check(`the page weighs ${weight} bytes without the engine`, async () =>
  assert(weight <= BUDGET),
)
if (only !== 'firefox') await testChromium()
if (only !== 'chromium') await testFirefox()
server.close()
plain.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
