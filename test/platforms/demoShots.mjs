/**
 * Pictures of the demo page and of Teach in each of their states, for the eye: widths of a phone, a
 * tablet and a desktop, light and dark, in Chromium; the main ones in Firefox. Needs what demo.mjs
 * needs.
 *
 *     node test/platforms/demoShots.mjs folder [chromium|firefox] [state …]
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'
import {
  answered,
  camera,
  key,
  notes,
  openTab,
  own,
  pause,
  plays,
  press,
  serveCached,
  server,
  shows,
  showsMessage,
  until,
} from './demoTools.mjs'
import { inFirefox } from './marionette.mjs'
import { teachStates } from './teachShots.mjs'

const [out, only, ...wanted] = process.argv.slice(2)
mkdirSync(out, { recursive: true })

/** States of the page, each on a page of its own. Some need a GPU, which is software here. */
const states = {
  start: { blocked: true, reach: (page) => page.waitForTimeout(500) },
  playing: {
    main: true,
    async reach(page) {
      await until(page, () => globalThis.timeline.times.length > 60)
    },
  },
  finished: {
    main: true,
    async reach(page) {
      await answered(page, 3)
      await key(page, 'End')
      await showsMessage(page, /^Over all/)
      await page.waitForTimeout(300)
    },
  },
  sought: {
    async reach(page) {
      await answered(page, 3)
      await key(page, 'End')
      await showsMessage(page, /^Over all/)
      await press(page, 0.46)
      await shows(page, 'label', /roll/)
      await page.click('#closeMessage')
    },
  },
  camera: {
    async reach(page) {
      await plays(page)
      await page.click('#camera')
      await showsMessage(page, /^The camera/)
    },
  },
  live: {
    address: server.address,
    async reach(page) {
      await plays(page)
      await page.click('#camera')
      await until(page, () => document.title.startsWith('Camera'))
      await shows(page, 'label', /^(static|pan|tilt)/)
    },
  },
  file: {
    async reach(page) {
      await plays(page)
      await page.setInputFiles('#file', notes)
      await showsMessage(page, /no video/)
    },
  },
  offered: {
    main: true,
    async reach(page) {
      await plays(page)
      await pause(page)
      await page.click('#kineticsOpen')
      await shows(page, 'kineticsSpeed', /about/)
    },
  },
  downloading: {
    cached: true,
    async reach(page) {
      await plays(page)
      await page.click('#kineticsOpen')
      await shows(page, 'kineticsSize', /this server/)
      await page.click('#kineticsStart')
      await shows(page, 'left', /MB of/)
    },
  },
  refused: {
    async reach(page) {
      await plays(page)
      await pause(page)
      await page.click('#kineticsOpen')
      await shows(page, 'kineticsStart', /^Download 547 MB$/)
      await page.click('#kineticsStart')
      await shows(page, 'kineticsRefused', /could not be/)
    },
  },
  code: {
    main: true,
    async reach(page) {
      await plays(page)
      await pause(page)
      await openTab(page, 'code')
    },
  },
  inside: {
    main: true,
    async reach(page) {
      await answered(page, 30)
      await pause(page)
      await openTab(page, 'inside')
      await until(
        page,
        () => globalThis.inside.map && document.querySelectorAll('#ops li').length > 0,
      )
    },
  },
  model: {
    async reach(page) {
      await answered(page, 12)
      await openTab(page, 'model')
      await page.setInputFiles('#checkpoint', own)
      await shows(page, 'names', /^small/)
      await pause(page)
    },
  },
  lost: {
    async reach(page) {
      await answered(page, 12)
      await pause(page)
      await openTab(page, 'engine')
      await page.selectOption('[name=device]', 'webgpu')
      await shows(page, 'device', /^WebGPU/)
      await page.click('#step')
      await page.click('#lose')
      await page.click('#step')
      await showsMessage(page, /^The GPU was lost/)
    },
  },
}
const chosen = Object.entries({ ...states, ...teachStates }).filter(
  ([name]) => !wanted.length || wanted.includes(name),
)
const cached = await serveCached(own, 120_000)

async function inChromium() {
  const browser = await chromium.launch({
    executablePath: paths.chromium,
    args: [
      '--no-sandbox',
      '--enable-unsafe-webgpu',
      '--enable-dawn-features=disable_workgroup_init',
      '--host-resolver-rules=MAP storage.googleapis.com 127.0.0.1:9',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${camera}`,
    ],
  })
  const context = await browser.newContext()
  const page = await context.newPage()
  for (const [name, { reach, blocked, cached: isCached, address }] of chosen) {
    if (address) await context.grantPermissions(['camera'])
    else await context.clearPermissions()
    if (blocked) await page.route('**/worker.js', () => {})
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.goto(address ?? (isCached ? cached.address : server.address))
    await reach(page)
    for (const [width, height] of [
      [390, 844],
      [820, 1100],
      [1440, 900],
    ]) {
      await page.setViewportSize({ width, height })
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme })
        await page.evaluate(() => scrollTo(0, 0))
        await page.waitForTimeout(250)
        await page.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`) })
        if (name !== 'start')
          await page.screenshot({
            path: join(out, `${name}-${width}-${colorScheme}-full.png`),
            fullPage: true,
          })
      }
    }
    if (blocked) await page.unroute('**/worker.js')
    console.log(`Chromium: ${name}`)
  }
  await browser.close()
}

const inFirefoxToo = () =>
  inFirefox(
    server.address,
    async (page) => {
      for (const [name, { reach, main }] of chosen) {
        if (!main) continue
        await page.goto(server.address)
        await reach(page)
        writeFileSync(join(out, `${name}-firefox.png`), await page.screenshot())
        console.log(`Firefox: ${name}`)
      }
    },
    { 'network.proxy.type': 1, 'network.proxy.ssl': '127.0.0.1', 'network.proxy.ssl_port': 9 },
  )

if (only !== 'firefox') await inChromium()
if (only !== 'chromium') await inFirefoxToo()
process.exit()
