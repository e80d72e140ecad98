/**
 * A page of headless Firefox by its own protocol, Marionette, with the few methods of playwright's
 * pages that the tests of pages need.
 *
 * Playwright speaks WebDriver BiDi with Firefox. In Firefox 153 such a session sooner or later
 * stops a worker for good when a worker that it had started ends: two workers of one line each,
 * started and terminated in turn by a worker, stand still after 1 to 70 rounds with nothing but
 * `session.new` sent; without a session, or with one of Marionette, 300 rounds and more go through.
 * So workers that have threads are tested here.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { paths } from './browsers.mjs'

/** Milliseconds until the browser must be there. */
const TIMEOUT = 60_000
/** Milliseconds until a script must end: the longest computes whole models. */
const SCRIPT_TIMEOUT = 600_000

/**
 * Opens a page; when `use` is done, the browser ends.
 * @param use gets the page and the version of the browser
 * @param prefs settings of Firefox beside its defaults
 */
export async function inFirefox(address, use, prefs = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'trecvit-'))
  writeFileSync(
    join(profile, 'user.js'),
    Object.entries({ 'marionette.port': 0, ...prefs })
      .map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`)
      .join(''),
  )
  const browser = spawn(
    paths.firefox,
    ['--headless', '--no-remote', '--profile', profile, '--marionette'],
    { stdio: 'ignore' },
  )
  const ended = new Promise((done) => browser.on('exit', done))
  try {
    const send = await openSession(profile)
    const { capabilities } = await send('WebDriver:NewSession')
    await send('WebDriver:SetTimeouts', { script: SCRIPT_TIMEOUT })
    await send('WebDriver:Navigate', { url: address })
    return await use(new Page(send), capabilities.browserVersion)
  } finally {
    browser.kill()
    await ended
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
}

/**
 * Messages are `length:[kind, id, method or error, parameters or result]`; an answer has the id of
 * its question.
 */
async function openSession(profile) {
  const socket = connect(await portOf(profile), '127.0.0.1')
  const waiting = new Map()
  let received = Buffer.alloc(0)
  let lastId = 0
  socket.on('error', () => {})
  socket.on('data', (part) => {
    received = Buffer.concat([received, part])
    for (let colon; (colon = received.indexOf(':')) > 0; ) {
      const end = colon + 1 + Number(received.subarray(0, colon))
      if (received.length < end) return
      const message = JSON.parse(received.subarray(colon + 1, end))
      received = received.subarray(end)
      // The first message is a greeting.
      if (!Array.isArray(message)) continue
      const [, id, error, result] = message
      const { resolve, reject } = waiting.get(id)
      if (error) reject(new Error(error.message))
      else resolve(result)
    }
  })
  return (method, parameters = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++lastId, { resolve, reject })
      const text = JSON.stringify([0, lastId, method, parameters])
      socket.write(`${Buffer.byteLength(text)}:${text}`)
    })
}

async function portOf(profile) {
  for (const start = performance.now(); performance.now() - start < TIMEOUT; ) {
    try {
      return Number(readFileSync(join(profile, 'MarionetteActivePort'), 'utf8'))
    } catch {
      await new Promise((done) => setTimeout(done, 50))
    }
  }
  throw new Error(`Firefox expected to listen within ${TIMEOUT / 1000} s`)
}

/** As playwright's, but most happens by scripts in the page. */
class Page {
  #send

  constructor(send) {
    this.#send = send
  }

  /** What a function gives in the page, of an argument that can be written as JSON. */
  async evaluate(work, argument = null) {
    const script = `const [argument, tell] = arguments
      Promise.resolve().then(() => (${work})(argument)).then(
        (value) => tell({ value }), (error) => tell({ error: String(error.stack ?? error) }))`
    const {
      value: { value, error },
    } = await this.#send('WebDriver:ExecuteAsyncScript', {
      script,
      args: [argument],
      sandbox: null,
    })
    if (error !== undefined) throw new Error(error)
    return value
  }

  async waitForFunction(test, argument, { timeout = TIMEOUT } = {}) {
    for (const start = performance.now(); !(await this.evaluate(test, argument)); ) {
      if (performance.now() - start > timeout)
        throw new Error(`waited for ${test} (${JSON.stringify(argument)}) in vain`)
      await this.waitForTimeout(20)
    }
  }

  waitForTimeout(milliseconds) {
    return new Promise((done) => setTimeout(done, milliseconds))
  }

  goto(url) {
    return this.#send('WebDriver:Navigate', { url })
  }

  /** The whole page, as PNG. */
  async screenshot() {
    const { value } = await this.#send('WebDriver:TakeScreenshot', { full: true })
    return Buffer.from(value, 'base64')
  }

  reload() {
    return this.#send('WebDriver:Refresh')
  }

  /** @param path of one file */
  async setInputFiles(selector, path) {
    const { value } = await this.#send('WebDriver:FindElement', {
      using: 'css selector',
      value: selector,
    })
    await this.#send('WebDriver:ElementSendKeys', { id: Object.values(value)[0], text: path })
  }

  click(selector) {
    return this.evaluate((selector) => document.querySelector(selector).click(), selector)
  }

  check(selector) {
    return this.evaluate((selector) => {
      const box = document.querySelector(selector)
      if (!box.checked) box.click()
    }, selector)
  }

  selectOption(selector, value) {
    return this.evaluate(
      ([selector, value]) => {
        const list = document.querySelector(selector)
        list.value = value
        for (const type of ['input', 'change'])
          list.dispatchEvent(new Event(type, { bubbles: true }))
      },
      [selector, value],
    )
  }

  locator(selector) {
    return {
      textContent: () =>
        this.evaluate((selector) => document.querySelector(selector).textContent, selector),
      evaluate: (work, argument) =>
        this.evaluate(
          `([selector, argument]) => (${work})(document.querySelector(selector), argument)`,
          [selector, argument ?? null],
        ),
    }
  }
}
