/**
 * Runs the tests that need neither files nor processes, in any runtime; they are bundled once, with the parts of vitest that run anywhere.
 *
 *     node test/platforms/run.mjs <runtime> [test…]
 *
 * runtime: `chromium` or `firefox` (playwright-core drives what is at CHROMIUM or FIREFOX, or where Debian puts them), or a command that
 * runs a module, like `node`, `bun` or `deno run -A` in quotes. Tests are stems of files in test/; all unless given. The GPU is the one
 * that VK_DRIVER_FILES names; with GPU=required a test that is skipped counts as failed. Ends with `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleTests } from './bundle.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** Seconds after which one test has failed, and after which the whole run has. */
const TEST = 240
const RUN = 900

const [runtime, ...only] = process.argv.slice(2)
if (!runtime) throw new Error('Expected a runtime: chromium, firefox, or a command such as "deno run -A"')
const page = runtime === 'chromium' || runtime === 'firefox'
const outfile = join(root, 'build/platforms', page ? 'page.js' : 'module.mjs')
await bundleTests(outfile, { page, seconds: TEST, ...(only.length && { tests: only }) })

const outcome = await Promise.race([
  page ? inPage(runtime) : inProcess(runtime.split(' ')),
  new Promise((_, reject) => setTimeout(() => reject(new Error(`${runtime} has not ended after ${RUN} seconds`)), RUN * 1000).unref()),
]).catch((error) => {
  console.log(`FAIL  ${error.message}`)
  return { passed: 0, failed: 1, skipped: 0 }
})
const failed = outcome.failed + (process.env.GPU === 'required' ? outcome.skipped : 0)
console.log(`${outcome.passed} passed, ${failed} failed${outcome.skipped ? ` (${outcome.skipped} skipped)` : ''}`)
process.exit(failed ? 1 : 0)

/** Runs the bundle with a command. */
async function inProcess([command, ...args]) {
  const child = spawn(command, [...args, outfile], { stdio: ['ignore', 'pipe', 'inherit'], cwd: root })
  process.on('exit', () => child.kill())
  let text = ''
  child.stdout.on('data', (part) => {
    text += part
    process.stdout.write(part)
  })
  const code = await new Promise((done, broken) => child.on('close', done).on('error', broken))
  const [, json] = /^outcome (\{.*\})$/m.exec(text) ?? []
  if (!json) throw new Error(`${command} ended with ${code} before all tests had run`)
  return JSON.parse(json)
}

/** Runs the bundle in a page of a headless browser, with cross-origin isolation. */
async function inPage(name) {
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' }
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const body = pathname === '/' ? '<!doctype html><title>tests</title><link rel="icon" href="data:,">' : await readFile(join(root, pathname)).catch(() => null)
    response.writeHead(body === null ? 404 : 200, {
      'content-type': types[pathname === '/' ? '.html' : extname(pathname)] ?? 'application/octet-stream',
      'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp',
    })
    response.end(body)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  // Playwright is installed apart; PLAYWRIGHT is the folder that has it in its node_modules.
  const { chromium, firefox } = createRequire(join(process.env.PLAYWRIGHT ?? root, 'x.js'))('playwright-core')
  const browser = name === 'chromium'
    ? await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-dawn-features=disable_workgroup_init'] })
    : await firefox.launch({
      channel: 'moz-firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
      firefoxUserPrefs: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
    })
  try {
    console.log(`${name} ${browser.version()}`)
    const tab = await browser.newPage()
    tab.on('pageerror', (error) => console.log(`error of the page: ${error.message}`))
    tab.on('crash', () => console.log('the page has crashed'))
    tab.on('console', (message) => console.log(message.text()))
    await tab.goto(`http://127.0.0.1:${server.address().port}/`)
    return await tab.evaluate(async (timeout) => {
      await import('/build/platforms/page.js')
      return globalThis.run((line) => console.log(line), timeout)
    }, TEST * 1000)
  } finally {
    await browser.close()
    server.close()
  }
}
