/**
 * What the page Teach does: actions are named, recorded by camera or from clips, learned,
 * recognised, corrected, kept and downloaded. Each check continues where the one before ended.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { accessibleInBoth } from './accessible.mjs'
import {
  camera,
  clip,
  notes,
  own,
  root,
  scratch,
  server,
  showsMessage,
  until,
} from './demoTools.mjs'

export const teachAddress = `${server.address}/teach.html`

// ---- clips: a camera that moves over a picture

const ffmpeg = (...args) => execFileSync('ffmpeg', ['-loglevel', 'error', ...args])
const picture = join(scratch, 'picture.png')
ffmpeg('-i', clip, '-frames:v', '1', picture)

/** @param crop left and top of the view in frame n */
function moving(name, crop, seconds) {
  const path = join(scratch, `${name}.mp4`)
  const filter = `scale=1440:810,crop=480:270:${crop},format=yuv420p`
  const input = ['-loop', '1', '-framerate', '30', '-i', picture]
  ffmpeg(...input, '-vf', filter, '-t', String(seconds), '-preset', 'ultrafast', path)
  return path
}
export const pan = moving('pan', "'mod(n*4,950)':270", 4)
export const tilt = moving('tilt', "480:'mod(n*3,530)'", 4)
/** The same movements, elsewhere and with other speeds: nothing is learned from them. */
const panned = moving('panned', "'40+mod(n*3,900)':420", 3)
const tilted = moving('tilted', "760:'mod(n*4,530)'", 3)
const still = moving('still', '480:270', 2)
const short = join(scratch, 'short.mp4')
ffmpeg('-i', panned, '-frames:v', '8', short)

/** Points the fake camera at a clip, from its next start on. */
export function pointCamera(path) {
  // A file of its own: the camera may still read the old one.
  rmSync(camera)
  ffmpeg('-i', path, camera)
}

// ---- the page

const ready = (page) => until(page, () => !document.getElementById('camera').disabled)
const state = (page) => page.locator('#ready').textContent()
const learned = (page) =>
  until(page, () => /^Learned in/.test(document.getElementById('ready').textContent))
const count = (page, number) =>
  until(page, (number) => document.querySelectorAll('.shots li').length === number, number)
const recognised = (page, label) =>
  until(
    page,
    (label) =>
      document.getElementById('caption').checkVisibility() &&
      document.getElementById('captionLabel').textContent === label &&
      Number.parseInt(document.getElementById('captionProb').textContent, 10) > 80,
    label,
  )
const rename = (page, index, name) =>
  page.evaluate(
    ([index, name]) => {
      const input = document.querySelectorAll('#actions .name')[index]
      input.value = name
      input.dispatchEvent(new Event('input', { bubbles: true }))
    },
    [index, name],
  )
const fileOf = (index) => `#actions > li:nth-child(${index + 1}) input[type=file]`
const recordOf = (index) => `#actions > li:nth-child(${index + 1}) .rec`

async function startOver(page) {
  await page.click('#forget')
  await page.click('#yes')
  await count(page, 0)
}

/** Recordings are clips: in every browser. */
export const clipChecks = {
  async 'an empty page says what to do, and cannot learn yet'(page) {
    await ready(page)
    assert.equal(await state(page), 'Record at least 2 actions first.')
    assert(await page.evaluate(() => document.getElementById('start').disabled))
    assert.equal(await page.evaluate(() => document.querySelectorAll('.action').length), 2)
  },
  async 'clips of two movements are learned'(page) {
    await rename(page, 0, 'sideways')
    await page.setInputFiles(fileOf(0), pan)
    await count(page, 1)
    assert.equal(await state(page), 'Record one more action.')
    await rename(page, 1, 'up and down')
    await page.setInputFiles(fileOf(1), tilt)
    await count(page, 2)
    await until(page, () => !document.getElementById('start').disabled)
    await page.click('#start')
    await learned(page)
    assert.match(await page.locator('#accuracy').textContent(), /^(9\d|100) %$/)
    assert.match(
      await page.locator('#accuracyText').textContent(),
      /^right of \d\d clips that it did not learn from/,
    )
  },
  async 'other clips of the movements are recognised'(page) {
    for (const [file, label] of [
      [panned, 'sideways'],
      [tilted, 'up and down'],
    ]) {
      await page.setInputFiles('#file', file)
      await recognised(page, label)
      await until(page, () => document.getElementById('openFile').className.includes('chosen'))
    }
  },
  async 'a reload keeps actions, recordings and what was learned'(page) {
    await page.reload()
    await until(page, () => /^It knows/.test(document.getElementById('ready').textContent))
    await count(page, 2)
    assert.deepEqual(
      await page.evaluate(() =>
        [...document.querySelectorAll('#actions .name')].map(({ value }) => value),
      ),
      ['sideways', 'up and down'],
    )
    await page.setInputFiles('#file', panned)
    await recognised(page, 'sideways')
  },
  async 'a file that is no video, and a clip that is too short, are one sentence'(page) {
    await page.setInputFiles(fileOf(0), notes)
    await showsMessage(page, /is no video of a known kind/)
    await page.setInputFiles(fileOf(0), short)
    await showsMessage(page, /^"short\.mp4" expected at least 15 frames, got 8; add a longer clip$/)
    await count(page, 2)
  },
  async 'removing an action leaves too few to learn; starting over leaves nothing'(page) {
    await page.click('#actions > li:nth-child(1) .remove')
    await page.click('#yes')
    await count(page, 1)
    await until(page, () => document.getElementById('keep').hidden)
    assert.equal(await state(page), 'Record one more action.')
    await startOver(page)
    await page.reload()
    await ready(page)
    assert.equal(await state(page), 'Record at least 2 actions first.')
  },
}

/** Camera, drops, downloads and keys, in Chromium. */
export const cameraChecks = {
  async 'two actions are named and recorded by camera, with keys alone'(page) {
    pointCamera(pan)
    await page.reload()
    await ready(page)
    await page.focus('#actions .name')
    await page.keyboard.type('sideways')
    await page.keyboard.press('Tab')
    await until(page, () => document.activeElement.getAttribute('aria-label') === 'Record sideways')
    await page.keyboard.press('Enter')
    await until(page, () => document.querySelector('.recording #frame.red'))
    await count(page, 1)
    await page.click('#camera')
    pointCamera(tilt)
    await rename(page, 1, 'up and down')
    await page.click(recordOf(1))
    await count(page, 2)
  },
  async 'it learns, and recognises the camera at once'(page) {
    await page.click('#start')
    await learned(page)
    assert.match(await page.textContent('#accuracy'), /^(9\d|100) %$/)
    await recognised(page, 'up and down')
    assert(await page.evaluate(() => document.querySelector('#frame.mirrored') !== null))
    await until(page, () => document.getElementById('said').textContent === 'up and down')
    await page.click('#camera')
    pointCamera(pan)
    await page.click('#camera')
    await recognised(page, 'sideways')
  },
  async 'a press on the right action adds the last seconds, and it learns again'(page) {
    await page.waitForTimeout(2000)
    await page.click('#answers li:nth-child(1) button')
    await showsMessage(page, /^The last 2 seconds were added to "sideways"\.$/)
    await count(page, 3)
    await learned(page)
    await recognised(page, 'sideways')
    await page.click('#camera')
  },
  async 'the downloaded model names the same on the command line'(page) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')])
    assert.equal(download.suggestedFilename(), 'my-actions.safetensors')
    const model = join(scratch, download.suggestedFilename())
    await download.saveAs(model)
    for (const [file, label] of [
      [panned, 'sideways'],
      [tilted, 'up and down'],
    ]) {
      const args = ['classify', file, '--model', model, '--json']
      const { top } = JSON.parse(
        execFileSync(process.execPath, [join(root, 'dist/cli/index.js'), ...args]),
      )
      assert.equal(top[0].label, label)
      assert(top[0].prob > 0.8)
    }
  },
  async 'the answer of a clip does not stay when the next one begins'(page) {
    await page.evaluate(() => {
      globalThis.captions = []
      new MutationObserver(() => {
        const { hidden } = document.getElementById('caption')
        globalThis.captions.push(hidden ? '' : document.getElementById('captionLabel').textContent)
      }).observe(document.getElementById('caption'), { attributes: true })
    })
    await page.setInputFiles('#file', tilted)
    await recognised(page, 'up and down')
    await page.setInputFiles('#file', panned)
    await recognised(page, 'sideways')
    const captions = await page.evaluate(() => globalThis.captions)
    assert(captions.includes(''), `the captions were ${captions}`)
    assert.notEqual(captions[captions.indexOf('sideways') - 1], 'up and down')
  },
  async 'a clip that is dropped on a third action is learned without being asked'(page) {
    await page.click('#add')
    await until(page, () => document.querySelectorAll('.action').length === 3)
    await page.keyboard.type('still')
    await drop(page, '#actions > li:nth-child(3)', still, 'still.mp4')
    await count(page, 4)
    await until(page, () => document.querySelectorAll('#answers li').length === 3)
    await drop(page, '#try', still, 'still.mp4')
    await recognised(page, 'still')
    assert.equal(await page.locator('.mirrored').count(), 0)
  },
  async 'names that are the same are one sentence'(page) {
    await rename(page, 2, 'sideways')
    await page.click('#start')
    await showsMessage(page, /^Two actions have the name "sideways"; rename one of them\.$/)
    await rename(page, 2, 'still')
  },
  async 'no violation of accessibility, light and dark'(page) {
    await page.evaluate(() => {
      document.getElementById('encoderBox').open = true
    })
    await accessibleInBoth(page, 'Teach')
  },
  async 'on a phone nothing is wider than the screen'(page) {
    const before = page.viewportSize()
    await page.setViewportSize({ width: 390, height: 844 })
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390)
    await page.setViewportSize(before)
  },
  async 'recordings of an encoder that has changed are not used'(page) {
    await page.evaluate(
      () =>
        new Promise((done) => {
          indexedDB.open('trecvit-teach').onsuccess = ({ target }) => {
            const store = target.result.transaction('lesson', 'readwrite').objectStore('lesson')
            store.get('lesson').onsuccess = ({ target: { result } }) => {
              store.put({ ...result, fingerprint: 'another' }, 'lesson').onsuccess = done
            }
          }
        }),
    )
    await page.reload()
    await showsMessage(page, /^The encoder has changed since your last visit\./)
    await count(page, 0)
    assert.equal(await page.inputValue('#actions .name'), 'sideways')
    assert.equal(await state(page), 'Record at least 2 actions first.')
    await page.setInputFiles(fileOf(0), panned)
    await count(page, 1)
  },
  async 'a file that is no checkpoint is one sentence, and the encoder stays'(page) {
    await drop(page, 'main', notes, 'broken.npz')
    await page.click('#yes')
    await showsMessage(page, /broken\.npz.* is a file of unknown kind/)
    await count(page, 1)
  },
  async 'a dropped checkpoint is another encoder, and is kept'(page) {
    await drop(page, 'main', own, 'small.npz')
    await page.click('#yes')
    await count(page, 0)
    assert.equal(await page.textContent('#encoderName'), 'small.npz')
    await page.setInputFiles(fileOf(0), panned)
    await page.setInputFiles(fileOf(1), tilted)
    await count(page, 2)
    await page.click('#start')
    await learned(page)
    await page.reload()
    await until(page, () => /^It knows/.test(document.getElementById('ready').textContent))
    assert.equal(await page.textContent('#encoderName'), 'small.npz')
    await startOver(page)
    await until(page, () => document.getElementById('encoderName').textContent === 'built in')
  },
}

/** Drops a file on an element. */
async function drop(page, selector, path, name) {
  const bytes = readFileSync(path).toString('base64')
  await page.evaluate(
    async ([selector, bytes, name]) => {
      const data = new DataTransfer()
      const content = await (await fetch(`data:;base64,${bytes}`)).blob()
      data.items.add(new File([content], name))
      document
        .querySelector(selector)
        .dispatchEvent(
          new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }),
        )
    },
    [selector, bytes, name],
  )
}

/** A camera that is not allowed. */
export async function refusedCamera(page) {
  await ready(page)
  await page.click(recordOf(0))
  await showsMessage(
    page,
    /^The camera (is not allowed for this page: allow it|was not found: connect one)/,
  )
  assert.equal(await page.locator('.recording').count(), 0)
}
