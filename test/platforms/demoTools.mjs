/** Files, servers and words that the tests of the demo page share. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ISOLATED, serve } from './serve.mjs'

const TIMEOUT = 180_000

export const root = fileURLToPath(new URL('../../', import.meta.url))
export const folder = join(root, 'dist/demo')
export const clip = join(root, 'models/lake.mp4')
export const scratch = mkdtempSync(join(tmpdir(), 'trecvit-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

// ---- files

const command = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [join(root, 'dist/cli/index.js'), ...args, '--json'], {
      encoding: 'utf8',
    }),
  )
/** What the command line says of the clip, with a model. */
export const classified = (...args) => command('classify', clip, ...args).top[0]

/** A model with random weights, and names for its classes. */
export const own = join(root, 'test/goldens/small.npz')
export const labels = join(scratch, 'labels.txt')
const { numClasses } = command('inspect', own).config
writeFileSync(labels, Array.from({ length: numClasses }, (_, index) => `kind ${index}`).join('\n'))

const ffmpeg = (...args) => execFileSync('ffmpeg', ['-loglevel', 'error', ...args])
/** A video of a codec that no decoder here has. */
export const foreign = join(scratch, 'foreign.mp4')
ffmpeg('-f', 'lavfi', '-i', 'testsrc=duration=1:size=64x64', '-c:v', 'mpeg4', foreign)
export const notes = join(scratch, 'notes.txt')
writeFileSync(notes, 'this is no video and no model at all, but a text of some length')
export const camera = join(scratch, 'camera.y4m')
ffmpeg('-i', clip, '-pix_fmt', 'yuv420p', camera)

// ---- servers

const pages = { '/': readFileSync(join(folder, 'index.html')) }
export const server = await serve(folder, { headers: ISOLATED, pages })
export const plain = await serve(folder, { pages })

/**
 * As trecvit serve with weights in its cache, which come by ranges and in pieces: see
 * docs/weights.md.
 * @param milliseconds for the whole file
 */
export async function serveCached(model, milliseconds = 0) {
  const bytes = readFileSync(model)
  const list = [{ name: 'k400', file: 'k400.npz', form: 'f32', bytes: bytes.length }]
  const weights = createServer(async ({ url, headers }, response) => {
    if (url === '/weights')
      return response
        .writeHead(200, { ...ISOLATED, 'content-type': 'application/json' })
        .end(JSON.stringify(list))
    if (url !== '/weights/k400.npz') {
      const answer = await fetch(server.address + url)
      const type = answer.headers.get('content-type')
      return response
        .writeHead(answer.status, { ...ISOLATED, 'content-type': type })
        .end(Buffer.from(await answer.arrayBuffer()))
    }
    const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range)
    const end = Math.min(Number(last) + 1, bytes.length)
    response.writeHead(206, {
      ...ISOLATED,
      'content-length': end - start,
      'content-range': `bytes ${start}-${end - 1}/${bytes.length}`,
    })
    const piece = Math.ceil(bytes.length / 400)
    for (let at = Number(start); at < end && !response.destroyed; at += piece) {
      response.write(bytes.subarray(at, Math.min(at + piece, end)))
      await new Promise((done) => setTimeout(done, milliseconds / 400))
    }
    response.end()
  })
  await new Promise((done) => weights.listen(0, '127.0.0.1', done))
  return {
    address: `http://127.0.0.1:${weights.address().port}`,
    close: () => weights.close(),
  }
}

// ---- pages

export const text = (page, id) => page.locator(`#${id}`).textContent()
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
export const times = (page) => page.evaluate(() => [...globalThis.timeline.times])
export const until = (page, test, argument) =>
  page.waitForFunction(test, argument, { timeout: TIMEOUT })
export const shows = (page, id, pattern) =>
  until(
    page,
    ([id, source]) => {
      const one = document.getElementById(id)
      return one.checkVisibility() && new RegExp(source).test(one.textContent)
    },
    [id, pattern.source],
  )
export const showsMessage = (page, pattern) => shows(page, 'message', pattern)
export const answered = (page, more = 0) =>
  until(page, (count) => globalThis.timeline.times.length > count, more)
export const openTab = (page, id) => page.click(`[aria-controls=${id}]`)

/** Waits until a video plays and some frames have been answered. */
export const plays = (page) =>
  until(
    page,
    () =>
      document.getElementById('play').textContent === 'Pause' &&
      globalThis.timeline.times.length > 3,
  )

/** Pauses, and waits until what was under way is there. */
export async function pause(page) {
  if ((await text(page, 'play')) === 'Pause') await page.click('#play')
  await until(page, () => document.getElementById('play').textContent === 'Play')
  await page.waitForTimeout(300)
}

/** Presses on the strip. @param share 0..1 of its width */
export const press = (page, share) =>
  page.evaluate((share) => {
    const strip = document.getElementById('strip')
    const { left, width, top } = strip.getBoundingClientRect()
    const at = { clientX: left + share * width, clientY: top + 5, bubbles: true }
    strip.dispatchEvent(new PointerEvent('pointerdown', at))
    strip.dispatchEvent(new PointerEvent('pointerup', at))
  }, share)

/** A key on the strip. */
export const key = (page, name) =>
  page.evaluate(
    (key) =>
      document
        .getElementById('strip')
        .dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })),
    name,
  )

/** Seconds of the frame that was answered last. */
export const shownTime = (page) => page.evaluate(() => globalThis.timeline.now)
export const movesOn = (page, before) =>
  until(page, (before) => globalThis.timeline.now > before, before)
