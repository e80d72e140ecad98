/** States of the page Teach for demoShots.mjs. */
import { notes, own, showsMessage, until } from './demoTools.mjs'
import { pan, pointCamera, teachAddress, tilt } from './teachChecks.mjs'

const fileOf = (index) => `#actions > li:nth-child(${index + 1}) input[type=file]`
const recorded = (page, number) =>
  until(page, (number) => document.querySelectorAll('.shots li').length === number, number)

/** Begins without actions. */
async function begin(page, ...names) {
  await until(page, () => !document.getElementById('camera').disabled)
  await page.click('#forget')
  const first = await page.locator('.action').first().elementHandle()
  await page.click('#yes')
  await until(page, (first) => !first.isConnected, first)
  while ((await page.locator('.action').count()) < names.length) {
    const before = await page.locator('.action').count()
    await page.click('#add')
    await until(page, (before) => document.querySelectorAll('.action').length > before, before)
  }
  for (const [index, name] of names.entries()) await page.locator('.name').nth(index).fill(name)
}

async function learn(page) {
  await begin(page, 'turn around', 'nod')
  await page.setInputFiles(fileOf(0), [pan, pan])
  await page.setInputFiles(fileOf(1), [tilt, tilt, tilt])
  await recorded(page, 5)
  await page.click('#start')
  await until(page, () => /^Learned in/.test(document.getElementById('ready').textContent))
}

/** Stops the frames of the camera, so that the page stays as it is. */
const freeze = (page) =>
  page.evaluate(() => {
    const post = Worker.prototype.postMessage
    Worker.prototype.postMessage = function (message, transfer) {
      if (message.type !== 'frame') post.call(this, message, transfer)
    }
  })

async function live(page) {
  pointCamera(tilt)
  await page.click('#camera')
  await until(page, () => document.getElementById('caption').checkVisibility())
  await page.waitForTimeout(1000)
  await freeze(page)
}

const states = {
  empty: begin,
  async countdown(page) {
    await begin(page, 'turn around')
    pointCamera(pan)
    await page.click('.rec')
    await until(page, () => document.querySelector('#idle').hidden)
    await page.evaluate(() => {
      globalThis.setTimeout = () => 0
    })
    await freeze(page)
  },
  async recording(page) {
    await begin(page, 'turn around')
    pointCamera(pan)
    await page.click('.rec')
    await until(page, () => document.querySelector('#frame.red'))
    await page.waitForTimeout(2000)
    await freeze(page)
  },
  async recorded(page) {
    await begin(page, 'turn around', 'nod')
    await page.setInputFiles(fileOf(0), [pan, pan])
    await page.setInputFiles(fileOf(1), [tilt])
    await recorded(page, 3)
  },
  async learning(page) {
    await learn(page)
    // A frame of the animation: its end would come within a second.
    await page.evaluate(() => {
      globalThis.Worker.prototype.postMessage = () => {}
      document.getElementById('start').click()
    })
  },
  learnt: learn,
  async live(page) {
    await learn(page)
    await live(page)
  },
  async corrected(page) {
    await learn(page)
    pointCamera(tilt)
    await page.click('#camera')
    await page.waitForTimeout(4000)
    await page.click('#answers li:nth-child(2) button')
    await recorded(page, 6)
    await until(page, () => /^Learned in/.test(document.getElementById('ready').textContent))
    await page.waitForTimeout(500)
    await freeze(page)
  },
  async unsure(page) {
    await begin(page, 'turn around', 'turn back', 'hold still')
    await page.setInputFiles(fileOf(0), [pan, tilt])
    await page.setInputFiles(fileOf(1), [tilt, pan])
    await recorded(page, 4)
    await page.click('#start')
    await until(page, () => /^Learned in/.test(document.getElementById('ready').textContent))
    await live(page)
  },
  async encoder(page) {
    await begin(page)
    await page.setInputFiles('#checkpoint', own)
    await until(page, () => document.getElementById('encoderName').textContent === 'small.npz')
    await page.click('summary')
  },
  async question(page) {
    await learn(page)
    await page.click('#actions > li:nth-child(1) .remove')
  },
  async failed(page) {
    await begin(page, 'wave')
    await page.setInputFiles(fileOf(0), notes)
    await showsMessage(page, /no video/)
  },
  async many(page) {
    const names = [
      'hold still',
      'wave',
      'nod',
      'turn around',
      'jump',
      'a name that is much too long',
    ]
    await begin(page, ...names, 'clap', 'point', 'stretch', 'lean')
    for (let index = 0; index < 10; index++) {
      await page.setInputFiles(fileOf(index), index % 2 ? [pan, tilt] : [tilt])
      await recorded(page, Math.ceil(1.5 * (index + 1) - 0.5))
    }
    await page.click('#start')
    await until(page, () => /^Learned in/.test(document.getElementById('ready').textContent))
    await live(page)
  },
}

export const teachStates = Object.fromEntries(
  Object.entries(states).map(([name, reach]) => [
    `teach-${name}`,
    { reach, address: teachAddress },
  ]),
)
