/**
 * Pages of headless Chromium and Firefox, with WebGPU and with memory that threads may share.
 * CHROMIUM and FIREFOX name them, where they are not where Debian puts them.
 */
import { fileURLToPath } from 'node:url'
import { chromium, firefox } from 'playwright-core'
import { ISOLATED, serve } from './serve.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))

export const paths = {
  chromium: process.env.CHROMIUM ?? '/usr/bin/chromium',
  firefox: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
}

/** Settings of Firefox. */
export const withWebgpu = { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true }

const launch = {
  chromium: () =>
    chromium.launch({
      executablePath: paths.chromium,
      args: [
        '--no-sandbox',
        '--enable-unsafe-webgpu',
        '--enable-dawn-features=disable_workgroup_init',
      ],
    }),
  firefox: () =>
    firefox.launch({
      channel: 'moz-firefox',
      executablePath: paths.firefox,
      firefoxUserPrefs: withWebgpu,
    }),
}

/** Serves the working tree, and an empty page at its root. */
export const serveTree = () =>
  serve(root, {
    headers: ISOLATED,
    pages: { '/': '<!doctype html><title>empty</title><link rel="icon" href="data:,">' },
  })

/**
 * Opens an empty page, of which the working tree is the root.
 * @param name `chromium` or `firefox`
 * @param use gets playwright's page and the version of the browser; when it is done, both end
 */
export async function inPage(name, use) {
  const server = await serveTree()
  const browser = await launch[name]()
  try {
    const page = await browser.newPage()
    page.on('pageerror', (error) => console.log(`error of the page: ${error.message}`))
    page.on('crash', () => console.log('the page has crashed'))
    page.on('console', (message) => console.log(message.text()))
    await page.goto(server.address)
    return await use(page, browser.version())
  } finally {
    await browser.close()
    server.close()
  }
}
