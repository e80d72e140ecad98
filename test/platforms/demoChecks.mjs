/** What the demo page does, in every browser. Each check goes on where the one before left off. */
import assert from 'node:assert/strict'
import { segments } from '../../examples/scene/moves.mjs'
import { accessibleInBoth } from './accessible.mjs'
import {
  answered,
  classified,
  foreign,
  key,
  labels,
  movesOn,
  notes,
  openTab,
  own,
  pause,
  percent,
  plays,
  press,
  serveCached,
  server,
  shownTime,
  shows,
  showsMessage,
  text,
  times,
  until,
} from './demoTools.mjs'

const expected = classified()
const expectedOwn = classified('--model', own, '--labels', labels)

/** Opens the page with a link. */
async function visit(page, query, address = server.address) {
  await page.goto(`${address}/${query}`)
  await plays(page)
  await pause(page)
}

export const checks = {
  async 'the first screen says what the model names'(page) {
    assert.match(
      await text(page, 'names'),
      /^\s*This model names how the camera moves: pan, tilt, zoom, roll, shake or static\.\s*$/,
    )
  },
  async 'file in, label out: that of the command line'(page) {
    await answered(page, 3)
    await key(page, 'End')
    await showsMessage(page, /^Over all \d+ frames/)
    assert.equal(
      await text(page, 'message'),
      `Over all 450 frames: ${expected.label} (${percent(expected.prob)}).`,
    )
    assert.equal((await times(page)).length, 450)
  },
  async 'segments: those of the scene, in its order'(page) {
    await page.waitForTimeout(300)
    const found = await page.evaluate(() =>
      [...document.querySelectorAll('#list button')].map((one) => one.children[1].textContent),
    )
    assert.deepEqual(
      found,
      segments.map(({ label }) => label),
    )
  },
  async 'a click on a segment goes there, and nothing is computed twice'(page) {
    const index = segments.findIndex(({ label }) => label === 'tilt up')
    await page.click(`#list li:nth-child(${index + 1}) button`)
    await until(page, () => document.getElementById('label').textContent === 'tilt up')
    const time = await shownTime(page)
    assert(Math.abs(time - segments[index].first / 30) < 0.4, `it went to ${time} s`)
    assert.equal((await times(page)).length, 450)
    assert.match(await text(page, 'caption'), /tilt up\s*\d+(\.\d)? %/)
  },
  async 'a press on the strip and keys seek'(page) {
    await press(page, 0.5)
    await until(page, () =>
      document.getElementById('strip').getAttribute('aria-valuetext').startsWith('7.5 s, '),
    )
    await key(page, 'ArrowRight')
    await until(page, () =>
      document.getElementById('strip').getAttribute('aria-valuetext').startsWith('8.0 s, '),
    )
    await key(page, 'Home')
    await until(page, () => document.getElementById('time').textContent === '0.0 / 15.0 s')
    // One frame is no answer.
    await shows(page, 'label', /^Looking/)
  },
  'a seek, a pause and a step while a video plays: each frame once, in order': eachFrameOnce,
  async 'play, pause, step, reset'(page) {
    await page.click('#play')
    await until(page, () => document.getElementById('play').textContent === 'Pause')
    await page.waitForTimeout(400)
    await pause(page)
    const before = await shownTime(page)
    await page.waitForTimeout(300)
    assert.equal(await shownTime(page), before, 'a paused video goes on')
    await page.click('#step')
    await movesOn(page, before)
    await openTab(page, 'engine')
    await page.click('#reset')
    await until(page, () => globalThis.timeline.times.length === 0)
    await press(page, 1 / 3)
    await until(page, () => globalThis.timeline.times.at(-1) >= 5 - 1e-3)
    const anew = await times(page)
    assert.equal(anew.length, 151 - Math.round(anew[0] * 30))
  },
  async 'other kernels and matrices in mid-stream: an unbroken timeline'(page) {
    const before = (await times(page)).length
    await page.check('[name=deterministic]')
    await shows(page, 'device', /^CPU: simd/)
    await page.selectOption('[name=dtype]', 'int8')
    await shows(page, 'device', /int8$/)
    await page.click('#step')
    await answered(page, before)
    assert.match(await text(page, 'prob'), /over the last 8 frames$/, 'the window stays full')
    await page.selectOption('[name=dtype]', '')
    await shows(page, 'device', /f16$/)
  },
  async 'no violation of accessibility: every tab, light and dark'(page) {
    for (const panel of ['timeline', 'code', 'inside', 'model', 'engine']) {
      await openTab(page, panel)
      await accessibleInBoth(page, panel)
    }
  },
  async 'a file that is no video is one sentence, and what plays goes on'(page) {
    await page.click('#sample')
    await plays(page)
    for (const [file, sentence] of [
      [notes, /is no video of a known kind/],
      [foreign, /mpeg4|mp4v|MPEG-4|codec/i],
    ]) {
      await page.setInputFiles('#file', file)
      await showsMessage(page, sentence)
      await movesOn(page, await shownTime(page))
      assert.equal(await text(page, 'play'), 'Pause')
      assert.equal(await page.evaluate(() => document.getElementById('sample').ariaPressed), 'true')
    }
    await pause(page)
    await showsMessage(page, /mpeg4|mp4v|MPEG-4|codec/i)
    await accessibleInBoth(page, 'an error')
  },
}

/** Seeks back, pauses and steps while a video plays, and compares the order of the answers. */
export async function eachFrameOnce(page) {
  await page.evaluate(() => {
    const { timeline } = globalThis
    window.order = []
    timeline.add = (time, answer) => {
      window.order.push(Math.round(30 * time))
      Object.getPrototypeOf(timeline).add.call(timeline, time, answer)
    }
  })
  await openTab(page, 'engine')
  await page.click('#play')
  for (let seeks = 0; seeks < 5; seeks++) {
    await until(page, () => window.order.at(-1) > 5)
    const answers = await page.evaluate(() => window.order.length)
    await press(page, 0.1 / 15)
    await until(page, (answers) => window.order.lastIndexOf(0) >= answers, answers)
  }
  await page.click('#play')
  await page.click('#step')
  // Behind the frames that are under way.
  await page.click('#reset')
  await until(page, () => globalThis.timeline.times.length === 0)
  const order = await page.evaluate(() => {
    delete globalThis.timeline.add
    return window.order
  })
  for (const [index, frame] of order.slice(1).entries())
    assert(
      frame === order[index] + 1 || (frame === 0 && order[index] > 5),
      `the answers are of the frames ${order}`,
    )
}

/** With a model of one's own, a look into one, and links. */
export const furtherChecks = {
  async 'a model that is none is one sentence, and the one that was there stays'(page) {
    await openTab(page, 'model')
    await page.setInputFiles('#checkpoint', notes)
    await showsMessage(
      page,
      /is a file of unknown kind .*, not an \.npz or \.safetensors checkpoint/,
    )
    assert.equal(await text(page, 'modelName'), 'Built in: how the camera moves')
    const before = (await times(page)).length
    await page.click('#step')
    await answered(page, before)
  },
  async 'labels that do not fit are one sentence'(page) {
    await page.setInputFiles('#labels', labels)
    await showsMessage(page, /^"labels" expected 10 names, one for each class, got \d+$/)
  },
  async "one's own model, then its labels: the answer of the command line"(page) {
    // Another model begins in mid-video. What it has seen there is not all of the video.
    await press(page, 0.2)
    await until(page, () => Math.abs(globalThis.timeline.now - 3) < 0.1)
    await page.check('#keep')
    await page.setInputFiles('#checkpoint', own)
    await shows(page, 'modelName', /^small\.npz$/)
    assert.match(
      await text(page, 'modelAbout'),
      /^64×64 pixels, \d+ layers of \d+ channels, \d+ classes without names\.$/,
    )
    assert.match(
      await text(page, 'names'),
      /^small\.npz has \d+ classes without names\. Open a file of labels to name them\.$/,
    )
    await page.setInputFiles('#labels', labels)
    await shows(page, 'names', /^small\.npz names \d+ classes: kind 0, kind 1, kind 2 and \d+ more/)
    // A key that follows too soon would replace this one.
    await pause(page)
    await key(page, 'Home')
    await until(page, () =>
      /after \d+ frames: 1\.$/.test(document.getElementById('prob').textContent),
    )
    await key(page, 'End')
    await showsMessage(page, /^Over all \d+ frames/)
    assert.equal(
      await text(page, 'message'),
      `Over all 450 frames: ${expectedOwn.label} (${percent(expectedOwn.prob)}).`,
    )
  },
  async 'kept in the browser: found again on the next visit, until it is forgotten'(page) {
    await shows(page, 'keptName', /small\.npz, 2\.8 MB$/)
    await page.reload()
    await answered(page, 3)
    await openTab(page, 'model')
    await shows(page, 'modelName', /^Built in: how the camera moves$/)
    await page.click('#recall')
    await shows(page, 'modelName', /^small\.npz$/)
    await page.click('#forget')
    await until(page, () => document.getElementById('kept').hidden)
    await page.click('#builtin')
    await shows(page, 'modelName', /^Built in/)
    await pause(page)
  },
  async 'attention is shown at first; decay, layers and heads, and where the time goes'(page) {
    await openTab(page, 'inside')
    await until(page, () => globalThis.inside.map?.view === 'attention')
    const shares = await page.evaluate(() =>
      globalThis.inside.map.values.reduce((sum, value) => sum + value, 0),
    )
    assert(shares > 0.2 && shares < 1, `the shares of the patches add up to ${shares}`)
    const mean = await page.evaluate(() => [...globalThis.inside.map.values])
    await page.selectOption('[name=head]', '0')
    await until(
      page,
      (before) =>
        globalThis.inside.map.values.some((value, patch) => Math.abs(value - before[patch]) > 1e-4),
      mean,
    )
    const painted = () =>
      page.evaluate(() => {
        const { width, height } = document.getElementById('overlay')
        const { data } = document
          .getElementById('overlay')
          .getContext('2d')
          .getImageData(0, 0, width, height)
        return data.some((value, index) => index % 4 === 3 && value > 150)
      })
    assert(await painted())
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
    await page.click('#attention')
    await until(page, () => globalThis.inside.map === null)
    assert(!(await painted()))
    await page.click('#attention')
    await until(page, () => globalThis.inside.map !== null)
  },
  async 'a link carries the settings'(page) {
    await openTab(page, 'engine')
    await page.selectOption('[name=dtype]', 'int8')
    await shows(page, 'device', /int8$/)
    const address = await page.evaluate(() => location.href)
    const query = new URL(address).searchParams
    assert.equal(query.get('dtype'), 'int8')
    assert.equal(query.get('view'), 'decay')
    assert.equal(query.get('tab'), 'engine')
    await visit(page, '?dtype=f32&threads=1&deterministic=true&tab=code&overlay=off&layer=2')
    await shows(page, 'device', /^CPU: simd, 1 thread, f32$/)
    await shows(page, 'source', /dtype: 'f32', threads: 1, deterministic: true/)
    assert.equal(await page.evaluate(() => globalThis.inside.map), null)
    assert.equal(await page.evaluate(() => document.querySelector('[name=layer]').selectedIndex), 1)
    await visit(page, '?dtype=f17&threads=-3&tab=nowhere')
    await shows(page, 'device', /f16$/)
    assert.equal(await page.evaluate(() => location.search), '')
  },
  async 'the code follows what is chosen'(page) {
    await openTab(page, 'code')
    await shows(page, 'source', /TRecViT\.load\('builtin'\)[\s\S]*'lake\.mp4'/)
    await openTab(page, 'engine')
    await page.selectOption('[name=device]', 'wasm')
    await openTab(page, 'code')
    await shows(page, 'source', /TRecViT\.load\('builtin', { device: 'wasm' }\)/)
  },
  async 'Kinetics: size, licence and speed before anything begins, and a way back'(page) {
    await page.click('#kineticsOpen')
    await shows(page, 'kineticsSize', /^547 MB, from storage\.googleapis\.com/)
    await shows(page, 'kineticsTerms', /CC-BY 4\.0/)
    await shows(page, 'kineticsSpeed', /^about [\d.]+ frames a second/)
    await accessibleInBoth(page, 'Kinetics offered')
    await page.click('#kineticsBack')
    assert(await page.evaluate(() => document.getElementById('kineticsTerms').hidden))
    assert.match(await text(page, 'modelName'), /^Built in/)
  },
  async 'Kinetics that cannot be fetched: why, and what else works; the video plays on'(page) {
    await page.click('#play')
    await page.click('#kineticsOpen')
    await until(page, () => !document.getElementById('kineticsStart').disabled)
    await page.click('#kineticsStart')
    await shows(page, 'kineticsRefused', /could not be (loaded|downloaded)/)
    await shows(page, 'kineticsRefused', /drop it on this page[\s\S]*trecvit serve/)
    await accessibleInBoth(page, 'Kinetics refused')
    assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
    assert.match(await text(page, 'modelName'), /^Built in/)
    await pause(page)
  },
  async 'Kinetics that is being downloaded: progress, and Cancel'(page) {
    const slow = await serveCached(own, 120_000)
    try {
      await visit(page, '?model=kinetics', slow.address)
      await shows(page, 'kineticsSize', /^2\.8 MB, from this server/)
      await page.click('#kineticsStart')
      await shows(page, 'left', /MB of/)
      await accessibleInBoth(page, 'Kinetics downloading')
      await page.click('#cancel')
      await showsMessage(page, /^Loading was cancelled\. The model stays as it was\.$/)
    } finally {
      slow.close()
    }
  },
  async "Kinetics from the page's own server, and back"(page) {
    const cached = await serveCached(own)
    try {
      await visit(page, '?model=kinetics', cached.address)
      await shows(page, 'kineticsSize', /^2\.8 MB, from this server/)
      await page.click('#kineticsStart')
      await shows(page, 'kineticsUsed', /CC-BY 4\.0/)
      await accessibleInBoth(page, 'Kinetics used')
      assert.equal(await text(page, 'modelName'), 'Kinetics-400')
      assert.equal(await page.evaluate(() => location.search), '?model=kinetics')
      await page.click('#kineticsLeave')
      await shows(page, 'kineticsOffer', /Use Kinetics/)
      await openTab(page, 'model')
      await shows(page, 'modelName', /^Built in/)
    } finally {
      cached.close()
      await visit(page, '')
    }
  },
}

/** With a fake camera. Each check goes on where the one before left off. */
export const cameraChecks = {
  async 'a camera is classified live'(page) {
    await page.evaluate(() => {
      // Only the page has its camera.
      const { mediaDevices } = navigator
      const ask = mediaDevices.getUserMedia.bind(mediaDevices)
      mediaDevices.getUserMedia = async (video) => (window.view = await ask(video))
    })
    await page.click('#camera')
    await until(
      page,
      () => document.title.startsWith('Camera') && globalThis.timeline.times.length > 20,
    )
    await shows(page, 'label', /\w/)
    assert(Number(await text(page, 'fps')) > 0)
    assert.equal(await page.evaluate(() => document.getElementById('camera').ariaPressed), 'true')
    assert.equal(await text(page, 'about'), '')
    assert.match(await text(page, 'time'), /^\d+\.\d s$/)
    const [cannotPlay, cannotSeek] = await page.evaluate(() => [
      document.getElementById('play').disabled,
      document.getElementById('strip').ariaDisabled,
    ])
    assert.deepEqual([cannotPlay, cannotSeek], [true, 'true'])
  },
  async 'frames that come during an answer are dropped and counted'(page) {
    await page.evaluate(() => {
      const post = Worker.prototype.postMessage
      Worker.prototype.postMessage = function (message, transfer) {
        if (message.type === 'frame')
          setTimeout(() => post.call(this, message, transfer), 40 + window.late)
        else post.call(this, message, transfer)
      }
      window.late = 300
    })
    await until(page, () => {
      const [dropped, all] = document.getElementById('dropped').textContent.split(' of ')
      return dropped / all > 0.75
    })
    await page.evaluate(() => (window.late = 0))
  },
  async 'at most so many frames a second as are asked for'(page) {
    await openTab(page, 'engine')
    await setRate(page, '2')
    const counted = await times(page)
    await until(page, (count) => globalThis.timeline.times.length > count + 4, counted.length)
    const [, ...last] = (await times(page)).slice(-4)
    assert(
      last.slice(1).every((time, index) => time - last[index] > 0.45),
      `the last frames are of ${last} s`,
    )
    await setRate(page, '')
  },
  async 'a camera that is switched off is one sentence'(page) {
    await page.evaluate(() => {
      const [track] = window.view.getTracks()
      track.stop()
      // Only the browser itself reports the end.
      track.dispatchEvent(new Event('ended'))
    })
    await showsMessage(page, /^The camera has been switched off\.$/)
    await page.click('#sample')
    await until(page, () => document.title.startsWith('Sample'))
    await plays(page)
    await pause(page)
    assert(await page.evaluate(() => document.getElementById('dropped').parentElement.hidden))
  },
}

const setRate = (page, value) =>
  page.evaluate((value) => {
    const field = document.querySelector('[name=rate]')
    field.value = value
    field.dispatchEvent(new Event('change', { bubbles: true }))
  }, value)

export async function withoutGpu(page) {
  await openTab(page, 'engine')
  await page.selectOption('[name=device]', 'webgpu')
  await showsMessage(page, /^There is no WebGPU device: /)
  assert.equal(
    await page.evaluate(() => document.querySelector('[name=device]').value),
    'auto',
    'the choice springs back',
  )
  assert.equal(await page.evaluate(() => location.search), '?tab=engine')
  const before = (await times(page)).length
  await page.click('#step')
  await answered(page, before)
  assert.match(await text(page, 'device'), /^CPU/)
}
