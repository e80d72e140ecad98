/**
 * The demo page, driven as a person would: in Chromium all of it, in Firefox what its engine can.
 * Needs a build with the page (node examples/demo/build.mjs) and npm install --prefix
 * test/platforms.
 *
 *     node test/platforms/demo.mjs [--screenshots folder]
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

/** What the command line says of the clip, with a model. */
const classified = (...args) =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [join(root, 'dist/cli/index.js'), 'classify', '--json', ...args],
      { encoding: 'utf8' },
    ),
  ).top[0]
const expected = classified()
/** A model with random weights, and names for its classes. */
const own = join(root, 'test/goldens/small.npz')
const labels = join(scratch, 'labels.txt')
const { numClasses } = JSON.parse(
  execFileSync(process.execPath, [join(root, 'dist/cli/index.js'), 'inspect', own, '--json'], {
    encoding: 'utf8',
  }),
).config
writeFileSync(labels, Array.from({ length: numClasses }, (_, index) => `kind ${index}`).join('\n'))
const expectedOwn = classified('--model', own, '--labels', labels)
const foreign = join(scratch, 'foreign.mp4')
execFileSync('ffmpeg', [
  '-loglevel',
  'error',
  '-f',
  'lavfi',
  '-i',
  'testsrc=duration=1:size=64x64',
  '-c:v',
  'mpeg4',
  foreign,
])
const notes = join(scratch, 'notes.txt')
writeFileSync(notes, 'this is no video and no model at all, but a text of some length')
const camera = join(scratch, 'camera.y4m')
execFileSync('ffmpeg', [
  '-loglevel',
  'error',
  '-i',
  join(root, 'models/tour.mp4'),
  '-pix_fmt',
  'yuv420p',
  camera,
])

const server = await serve(folder, {
  headers: ISOLATED,
  pages: { '/': readFileSync(join(folder, 'index.html')) },
})
const plain = await serve(folder, { pages: { '/': readFileSync(join(folder, 'index.html')) } })

const text = (page, id) => page.locator(`#${id}`).textContent()
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
const times = (page) => page.evaluate(() => [...globalThis.timeline.times])
const until = (page, test, argument) => page.waitForFunction(test, argument, { timeout: PATIENCE })
const said = (page, pattern) =>
  until(
    page,
    (source) => new RegExp(source).test(document.getElementById('message').textContent),
    pattern.source,
  )
const answered = (page, more = 0) =>
  until(page, (count) => globalThis.timeline.times.length > count, more)
/** Waits until a video plays and some frames have been answered. */
const plays = (page) =>
  until(
    page,
    () =>
      document.getElementById('play').textContent === 'Pause' &&
      globalThis.timeline.times.length > 3,
  )
/** Pauses, and waits until what was under way is there. */
async function pause(page) {
  if ((await text(page, 'play')) === 'Pause') await page.click('#play')
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
    assert.match(
      await text(page, 'message'),
      new RegExp(`^Over all 391 frames: ${expected.label} \\(${percent(expected.prob)}\\)\\.$`),
    )
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
  async 'no serious violation of accessibility, light and dark, with the look inside open'(page) {
    await page.click('#inside summary')
    await until(
      page,
      () => globalThis.inside.map && document.querySelectorAll('#ops li').length > 0,
    )
    await page.evaluate(axe)
    for (let theme = 0; theme < 2; theme++) {
      const { violations } = await page.evaluate(() => globalThis.axe.run())
      assert.deepEqual(
        violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
        [],
      )
      await page.click('#theme')
    }
    await page.click('#inside summary')
  },
  async 'what is no video is one sentence, and the page goes on'(page) {
    await page.setInputFiles('#file', notes)
    await said(page, /is no video of a known kind/)
    await page.setInputFiles('#file', foreign)
    await said(page, /mpeg4|mp4v|MPEG-4|codec/i)
    await page.click('#sample')
    await plays(page)
    await pause(page)
  },
}

/** With a model of one's own, and a look into one. */
const furtherChecks = {
  async 'a model that is none is one sentence, and the one that was there stays'(page) {
    await page.setInputFiles('#checkpoint', notes)
    await said(page, /is a file of unknown kind .*, not an \.npz or \.safetensors checkpoint/)
    assert.equal(await text(page, 'modelName'), 'Built in: how the camera moves')
    const before = (await times(page)).length
    await page.click('#step')
    await answered(page, before)
  },
  async 'labels that do not fit are one sentence'(page) {
    await page.setInputFiles('#labels', labels)
    await said(page, /^"labels" expected 10 names, one for each class, got \d+$/)
  },
  async "one's own model, then its labels: the answer of the command line"(page) {
    await page.check('#keep')
    await page.setInputFiles('#checkpoint', own)
    await until(page, () => document.getElementById('modelName').textContent === 'small.npz')
    assert.match(
      await text(page, 'modelAbout'),
      /^64×64 pixels, \d+ layers of \d+ channels, \d+ classes without names$/,
    )
    // Computed anew up to where the video stands.
    await until(page, () => /^class \d+$/.test(document.getElementById('label').textContent))
    await page.setInputFiles('#labels', labels)
    await until(page, () => !/without/.test(document.getElementById('modelAbout').textContent))
    await seek(page, 100)
    await said(page, /^Over all \d+ frames/)
    assert.equal(
      await text(page, 'message'),
      `Over all 391 frames: ${expectedOwn.label} (${percent(expectedOwn.prob)}).`,
    )
  },
  async 'kept in the browser: found again on the next visit, until it is forgotten'(page) {
    await until(page, () =>
      /small\.npz, 2\.8 MB$/.test(document.getElementById('keptName').textContent),
    )
    await page.reload()
    await answered(page, 3)
    assert.equal(await text(page, 'modelName'), 'Built in: how the camera moves')
    await page.click('#recall')
    await until(page, () => document.getElementById('modelName').textContent === 'small.npz')
    await plays(page)
    await page.click('#forget')
    await until(page, () => document.getElementById('kept').hidden)
    await page.click('#builtin')
    await until(page, () => document.getElementById('modelName').textContent.startsWith('Built in'))
    await plays(page)
    await pause(page)
  },
  async 'a look inside: attention and decay over the frame, and where its time goes'(page) {
    await page.click('#inside summary')
    await until(page, () => globalThis.inside.map?.view === 'attention')
    const sumOf = () =>
      page.evaluate(() => globalThis.inside.map.values.reduce((sum, value) => sum + value, 0))
    const shares = await sumOf()
    assert(shares > 0.2 && shares < 1, `the shares of the patches add up to ${shares}`)
    const mean = await page.evaluate(() => [...globalThis.inside.map.values])
    await page.selectOption('[name=head]', '0')
    await until(
      page,
      (before) =>
        globalThis.inside.map.values.some((value, patch) => Math.abs(value - before[patch]) > 1e-4),
      mean,
    )
    const coloured = () =>
      page.evaluate(() => {
        const { width, height } = document.getElementById('overlay')
        return document
          .getElementById('overlay')
          .getContext('2d')
          .getImageData(width / 2, height / 2, 1, 1).data[3]
      })
    assert.equal(await coloured(), Math.round(0.6 * 255))
    await page.selectOption('[name=view]', 'decay')
    await until(page, () => globalThis.inside.map.view === 'decay')
    assert(
      await page.evaluate(() =>
        globalThis.inside.map.values.every((value) => value > 0 && value < 1),
      ),
    )
    await until(page, () => document.querySelectorAll('#ops li').length > 8)
    assert.match(
      await page.locator('#ops li:first-child').textContent(),
      /^\w+\d+\.\d\d ms · \d+(\.\d)? %$/,
    )
    await page.click('#play')
    await plays(page)
    await pause(page)
    assert.equal(
      await page.evaluate(() => globalThis.inside.map.view),
      'decay',
      'it goes on while the video plays',
    )
    await page.click('#inside summary')
    await until(page, () => globalThis.inside.map === null)
    assert.equal(await coloured(), 0)
  },
}

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
  },
  async 'frames a second: as many as are asked for'(page) {
    await page.fill('[name=rate]', '5')
    await page.locator('[name=rate]').press('Tab')
    await until(
      page,
      () =>
        globalThis.timeline.times.length > 2 &&
        Math.abs(globalThis.timeline.times.at(-1) - globalThis.timeline.times.at(-2) - 0.2) < 0.02,
    )
    await page.fill('[name=rate]', '')
    await page.locator('[name=rate]').press('Tab')
    await plays(page)
    await pause(page)
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
    await until(
      page,
      () =>
        document.getElementById('modelName').textContent === 'dropped.npz' &&
        /^kind \d/.test(document.getElementById('label').textContent),
    )
    await page.click('#builtin')
    await until(
      page,
      () =>
        document.getElementById('modelName').textContent.startsWith('Built in') &&
        globalThis.timeline.times.length > 0,
    )
  },
  async 'the screen is followed'(page) {
    await page.click('#screen')
    await until(
      page,
      () => globalThis.timeline.times.length > 5 && document.title.startsWith('screen'),
    )
    await page.click('#sample')
    await plays(page)
    await pause(page)
  },
}

async function withoutGpu(page) {
  const before = (await times(page)).length
  await page.selectOption('[name=device]', 'webgpu')
  await said(page, /^There is no WebGPU device: /)
  await page.click('#step')
  await answered(page, before)
  assert.match(await text(page, 'device'), /^CPU/)
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
      const said = await page.evaluate(() =>
        ['label', 'device', 'why', 'message', 'play']
          .map((id) => document.getElementById(id).textContent)
          .join(' | '),
      )
      console.log(`      the page says: ${said}`)
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

const weight = gzipSync(readFileSync(join(folder, 'page.js'))).length
await check(`the page weighs ${weight} bytes without the engine`, async () =>
  assert(weight <= BUDGET),
)

const launchChromium = (...args) =>
  chromium.launch({
    executablePath: paths.chromium,
    args: [
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--enable-dawn-features=disable_workgroup_init',
      ...args,
    ],
  })
const browser = await launchChromium(
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--auto-select-desktop-capture-source=Entire screen',
  `--use-file-for-fake-video-capture=${camera}`,
)
await inPage(
  browser,
  { viewport: { width: 1440, height: 1000 }, permissions: ['camera'] },
  server.address,
  async (page) => {
    for (const [name, work] of Object.entries({
      ...checks,
      ...furtherChecks,
      ...pointedChecks,
      ...gpuChecks,
    }))
      await check(`Chromium: ${name}`, () => work(page), page)
    await check('Chromium: a camera is classified live', async () => {
      await page.click('#camera')
      await until(page, () => globalThis.timeline.times.length > 20)
      assert.match(await text(page, 'label'), /\w/)
      assert(Number(await text(page, 'fps')) > 2)
    })
  },
)
await inPage(browser, { viewport: { width: 1440, height: 1000 } }, 'about:blank', (page) =>
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
await inPage(browser, { viewport: { width: 1440, height: 1000 } }, plain.address, (page) =>
  check('Chromium: without isolation one thread computes, and the page says so', async () => {
    await answered(page, 3)
    await until(page, () =>
      /^This page is not cross-origin isolated/.test(document.getElementById('why').textContent),
    )
    assert.match(await text(page, 'device'), /1 thread,/)
  }),
)
if (shots) {
  /** States of the page that are worth a look, each after the one before. */
  const states = {
    async sample(page) {
      await answered(page, 3)
      await seek(page, 9)
      await until(page, () => globalThis.timeline.times.at(-1) >= 9 - 1e-3)
    },
    async attention(page) {
      await page.click('#inside summary')
      await until(
        page,
        () => globalThis.inside.map && document.querySelectorAll('#ops li').length > 0,
      )
    },
    async decay(page) {
      await page.selectOption('[name=view]', 'decay')
      await until(page, () => globalThis.inside.map.view === 'decay')
    },
    async error(page) {
      await page.setInputFiles('#checkpoint', notes)
      await said(page, /not an/)
    },
    async own(page) {
      await page.check('#keep')
      await page.setInputFiles('#checkpoint', own)
      await until(
        page,
        () => !document.getElementById('kept').hidden && globalThis.timeline.times.length > 200,
      )
    },
  }
  for (const width of [1440, 390]) {
    for (const colorScheme of ['light', 'dark']) {
      await inPage(
        browser,
        { viewport: { width, height: width === 1440 ? 1000 : 844 }, colorScheme },
        server.address,
        async (page) => {
          for (const [name, reach] of Object.entries(states)) {
            await reach(page)
            await page.evaluate(() => scrollTo(0, 0))
            await page.waitForTimeout(400)
            await page.screenshot({
              path: join(shots, `${name}-${width}-${colorScheme}.png`),
              fullPage: true,
            })
          }
        },
      )
    }
  }
}
await browser.close()

const strict = await launchChromium()
await inPage(strict, {}, server.address, (page) =>
  check('Chromium: a camera that is not allowed is one sentence', async () => {
    await answered(page, 3)
    await page.click('#camera')
    await said(page, /^The camera (was not allowed|is not there)/)
    const before = (await times(page)).length
    await page.click('#step')
    await answered(page, before)
  }),
)
await strict.close()

await inFirefox(server.address, async (page) => {
  const {
    'no serious violation of accessibility, light and dark, with the look inside open': _,
    ...rest
  } = checks
  for (const [name, work] of Object.entries({
    ...rest,
    ...furtherChecks,
    'without WebGPU: one sentence': withoutGpu,
  }))
    await check(`Firefox: ${name}`, () => work(page), page)
})
server.close()
plain.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
