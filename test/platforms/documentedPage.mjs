/** Opens pages of the documentation in Chromium, with a fake camera. */
import { chromium } from 'playwright-core'
import { paths } from './browsers.mjs'
import { ISOLATED, serve } from './serve.mjs'

/** Starts the browser for these pages. */
export const launch = () =>
  chromium.launch({
    executablePath: paths.chromium,
    args: [
      '--no-sandbox',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
    ],
  })

/**
 * Resolves with the console and the text of a page, once they contain what is expected.
 * @param folder what is served beside the page
 * @param seconds the limit of time
 * @throws Error with the console, if it contains an error, or after that time
 */
export async function show(browser, html, folder, prints, seconds = 60) {
  const icon = '<link rel="icon" href="data:,">'
  const server = await serve(folder, { headers: ISOLATED, pages: { '/': icon + html } })
  const tab = await browser.newPage()
  let printed = ''
  let fail
  const failure = new Promise((_, reject) => (fail = reject))
  tab.on('console', (message) => {
    printed += `${message.text()}\n`
    if (message.type() === 'error') fail(new Error(printed))
  })
  tab.on('pageerror', (error) => fail(new Error(`${printed}${error.message}`)))
  try {
    await Promise.race([failure, tab.goto(server.address)])
    const text = async () => printed + (await tab.evaluate('document.body.innerText'))
    const end = Date.now() + seconds * 1000
    while (!(await text()).includes(prints)) {
      if (Date.now() > end) throw new Error(`not printed after ${seconds} s: ${prints}`)
      await Promise.race([failure, new Promise((done) => setTimeout(done, 100))])
    }
    return await text()
  } finally {
    await tab.close()
    server.close()
  }
}
