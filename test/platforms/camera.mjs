/**
 * Cameras and pictures of pages, in Chromium and Firefox with a fake camera: the page of
 * docs/camera.md, live sources from their beginning to their end, and every kind of picture. Needs
 * a build and npm install --prefix test/platforms.
 *
 *     node test/platforms/camera.mjs
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium, firefox } from 'playwright-core'
import { paths, withWebgpu } from './browsers.mjs'
import { ISOLATED, serve } from './serve.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const TIMEOUT = 180_000
const [, written] = /```html chromium\n(.*?)```/s.exec(
  readFileSync(`${root}docs/camera.md`, 'utf8'),
)
assert(written.trimEnd().split('\n').length <= 15, 'the page of docs/camera.md grows')

// The working tree is the package.
const server = await serve(root, {
  headers: ISOLATED,
  pages: {
    '/': '<!doctype html><title>empty</title><link rel="icon" href="data:,">',
    '/camera': written.replaceAll('/node_modules/trecvit/', '/'),
  },
})

const browsers = {
  Chromium: (...args) =>
    chromium.launch({ executablePath: paths.chromium, args: ['--no-sandbox', ...args] }),
  Firefox: (prefs) =>
    firefox.launch({
      channel: 'moz-firefox',
      executablePath: paths.firefox,
      firefoxUserPrefs: prefs,
    }),
}
const fake = {
  Chromium: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
  Firefox: [{ 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true }],
}

/** What all tests of a page share. */
async function prepare() {
  const { TRecViT } = await import('/dist/index.js')
  const video = await import('/dist/video/index.js')
  const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true, threads: 1 })
  const errorOf = async (work) => {
    try {
      await work()
      return 'no error'
    } catch (error) {
      return `${error.name}: ${error.message}`
    }
  }
  /** The logits of frames in a stream of their own. */
  const logitsOf = async (frames) => {
    const stream = model.stream()
    const all = []
    for await (const { logits } of stream.run(frames)) all.push(logits.data.join())
    await stream.dispose()
    return all
  }
  /** A picture without a pattern that conversions would leave alone. */
  const pixels = (width, height, step) =>
    Uint8Array.from({ length: width * height * step }, (_, i) =>
      step === 4 && i % 4 === 3 ? 255 : (i * 7 + (i >> 5) * 13) % 256,
    )
  globalThis.t = { ...video, TRecViT, model, errorOf, logitsOf, pixels }
}

/** In the page; each returns what is compared, or throws. */
const tests = {
  'canvas, OffscreenCanvas, ImageBitmap, <img> and ImageData give the same bits': async () => {
    const { logitsOf, pixels } = globalThis.t
    const image = new ImageData(new Uint8ClampedArray(pixels(120, 100, 4)), 120, 100)
    const canvas = document.createElement('canvas')
    ;[canvas.width, canvas.height] = [120, 100]
    canvas.getContext('2d').putImageData(image, 0, 0)
    const offscreen = new OffscreenCanvas(120, 100)
    offscreen.getContext('2d').putImageData(image, 0, 0)
    const bitmap = await createImageBitmap(image)
    const img = new Image()
    img.src = canvas.toDataURL('image/png')
    await img.decode()
    // The first one comes before what reads it is there.
    const kinds = { bitmap, canvas, offscreen, img }
    const answers = {}
    for (const [name, kind] of Object.entries(kinds)) answers[name] = (await logitsOf([kind]))[0]
    const [want] = await logitsOf([image])
    return Object.fromEntries(Object.entries(answers).map(([name, one]) => [name, one === want]))
  },
  'a VideoFrame of planes is what the decoded frame is': async () => {
    const { logitsOf, pixels } = globalThis.t
    const [width, height] = [120, 100]
    const data = pixels(width * 1.5, height, 1)
    const plane = (from, w, h) => ({ data: data.subarray(from, from + w * h), stride: w })
    const frame = new VideoFrame(data, {
      format: 'I420',
      codedWidth: width,
      codedHeight: height,
      timestamp: 0,
      colorSpace: { matrix: 'bt709', fullRange: false, primaries: 'bt709', transfer: 'bt709' },
    })
    const decoded = {
      format: 'yuv420p',
      width,
      height,
      planes: [plane(0, 120, 100), plane(12000, 60, 50), plane(15000, 60, 50)],
      matrix: 'bt709',
      fullRange: false,
      siting: 'left',
      time: 0,
      rotation: 0,
    }
    const [got] = await logitsOf([frame])
    const [want] = await logitsOf([decoded])
    frame.close()
    return { same: got === want }
  },
  'frames may be closed as soon as they were pushed': async () => {
    const { model, pixels } = globalThis.t
    const stream = model.stream()
    const image = new ImageData(new Uint8ClampedArray(pixels(96, 96, 4)), 96, 96)
    const bitmap = await createImageBitmap(image)
    const frame = new VideoFrame(bitmap, { timestamp: 0 })
    const answers = [stream.push(bitmap), stream.push(frame), stream.push(image)]
    bitmap.close()
    frame.close()
    image.data.fill(0)
    const all = await Promise.all(answers)
    const again = globalThis.t.errorOf(() => stream.push(frame))
    const gone = globalThis.t.errorOf(() => stream.push(bitmap))
    const result = {
      frames: all.map(({ frame }) => frame).join(),
      frame: await again,
      bitmap: await gone,
    }
    await stream.dispose()
    return result
  },
  'what has no picture is one sentence': async () => {
    const { model, errorOf } = globalThis.t
    const stream = model.stream()
    const broken = new Image()
    const result = {
      video: await errorOf(() => stream.push(document.createElement('video'))),
      img: await errorOf(() => stream.push(broken)),
      canvas: await errorOf(() => stream.push(new OffscreenCanvas(0, 4))),
      div: await errorOf(() => stream.push(document.createElement('div'))),
      classify: await errorOf(() => model.classify(document.createElement('video'))),
    }
    await stream.dispose()
    return result
  },
  'a <video> is followed to its end': async () => {
    const { fromTrack } = globalThis.t
    const video = document.createElement('video')
    video.muted = true
    video.src = '/models/short.webm'
    const live = fromTrack(video, { queue: 8 })
    const loaded = new Promise((done) => video.addEventListener('loadeddata', done))
    await loaded
    const pushed = await globalThis.t.logitsOf([video])
    const times = []
    setTimeout(() => video.play(), 50)
    for await (const { time } of live) times.push(time)
    return {
      pushed: pushed.length,
      times: times.slice(0, 4),
      back: times.filter((time, i) => i > 0 && time <= times[i - 1]).length,
      counted: times.length + live.dropped,
      seen: times.length,
    }
  },
  'a camera gives the newest frame; leaving the loop frees it': async () => {
    const { camera } = globalThis.t
    const view = await camera()
    const [track] = view.stream.getTracks()
    const times = []
    let kept
    for await (const frame of view) {
      kept = frame
      times.push(frame.time)
      if (times.length === 5) break
      await new Promise((done) => setTimeout(done, 200))
    }
    return {
      size: `${kept.width}x${kept.height}`,
      first: times[0],
      slow: times.slice(1).every((time, i) => time - times[i] > 0.12),
      dropped: view.dropped > 8,
      state: track.readyState,
      again: await globalThis.t.errorOf(async () => {
        for await (const _ of view);
      }),
    }
  },
  'a signal ends a camera with its reason, also while it is waited for': async () => {
    const { camera, errorOf } = globalThis.t
    const stop = new AbortController()
    const view = await camera({ signal: stop.signal })
    const [track] = view.stream.getTracks()
    setTimeout(() => stop.abort(new Error('enough')), 300)
    const why = await errorOf(async () => {
      for await (const _ of view);
    })
    return {
      why,
      state: track.readyState,
      before: await errorOf(() => camera({ signal: AbortSignal.abort(new Error('early')) })),
    }
  },
  'a track that ends, and close, end the loop; the track of a caller is not stopped': async () => {
    const { camera, fromTrack } = globalThis.t
    const canvas = document.createElement('canvas')
    const context = canvas.getContext('2d')
    const timer = setInterval(() => {
      context.fillStyle = `rgb(${performance.now() % 256} 0 0)`
      context.fillRect(0, 0, 300, 150)
    }, 20)
    const [track] = canvas.captureStream().getVideoTracks()
    const live = fromTrack(track)
    let frames = 0
    for await (const _ of live) if (++frames === 5) break
    const left = track.readyState
    const second = fromTrack(track)
    let more = 0
    for await (const _ of second) if (++more === 3) track.stop()
    const view = await camera()
    setTimeout(() => view.close(), 300)
    let last = 0
    for await (const _ of view) last++
    clearInterval(timer)
    return { frames, left, more: more >= 3, last: last > 0 }
  },
}

/** In a page whose model is on a GPU: pictures of a page that it reads. */
const byGpu = async () => {
  const { pixels, errorOf, TRecViT } = globalThis.t
  const model = await TRecViT.load('builtin', { device: 'webgpu' })
  const [width, height] = [320, 180]
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [width, height]
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, width, height)
  for (const [at, colour] of ['navy', 'orange', 'white', 'green'].entries())
    gradient.addColorStop(at / 3, colour)
  context.fillStyle = gradient
  context.fillRect(0, 0, width, height)
  context.fillStyle = 'black'
  for (let i = 0; i < 40; i++) context.fillRect((i * 97) % width, (i * 53) % height, 30, 9)
  const offscreen = new OffscreenCanvas(width, height)
  offscreen.getContext('2d').drawImage(canvas, 0, 0)
  const img = new Image()
  img.src = canvas.toDataURL('image/png')
  await img.decode()
  const video = document.createElement('video')
  video.muted = true
  const loaded = new Promise((done) => video.addEventListener('loadeddata', done))
  video.src = '/models/short.webm'
  await loaded
  const bitmap = await createImageBitmap(canvas)
  const frame = new VideoFrame(canvas, { timestamp: 0 })
  const image = new ImageData(new Uint8ClampedArray(pixels(96, 96, 4)), 96, 96)
  const kinds = { bitmap, canvas, offscreen, img, video, frame, image }
  const pushed = async (stream, picture) => {
    const answer = stream.push(picture)
    // What was pushed may be closed at once.
    if (picture === bitmap) picture.close()
    const logits = [...(await answer).logits.data]
    await stream.reset()
    return logits
  }
  const exact = model.stream()
  const stream = model.stream({ pixels: 'gpu' })
  const closed = await createImageBitmap(canvas)
  closed.close()
  // The reader of pictures is not open yet.
  const first = await errorOf(() => stream.push(closed))
  /** Largest difference of the logits, relative to the largest. */
  const off = (got, want) =>
    Math.max(...got.map((value, i) => Math.abs(value - want[i]))) / Math.max(...want.map(Math.abs))
  const differences = {}
  for (const [name, picture] of Object.entries(kinds)) {
    const want = await pushed(exact, picture === bitmap ? offscreen : picture)
    differences[name] = off(await pushed(stream, picture), want)
  }
  frame.close()
  const result = {
    backend: stream.device.backend,
    differences,
    first,
    frame: await errorOf(() => stream.push(frame)),
    bitmap: await errorOf(() => stream.push(bitmap)),
  }
  await model.dispose()
  return result
}

/** Flags and settings with which a software GPU reads pictures of all kinds. */
const withGpu = {
  Chromium: [
    '--enable-unsafe-webgpu',
    '--enable-dawn-features=disable_workgroup_init',
    '--enable-features=Vulkan',
    '--use-vulkan=swiftshader',
    '--use-angle=swiftshader',
  ],
  Firefox: [withWebgpu],
}

/** What the tests must return; a function checks it. */
const expected = {
  'canvas, OffscreenCanvas, ImageBitmap, <img> and ImageData give the same bits': {
    bitmap: true,
    canvas: true,
    offscreen: true,
    img: true,
  },
  'a VideoFrame of planes is what the decoded frame is': { same: true },
  'frames may be closed as soon as they were pushed': {
    frames: '0,1,2',
    frame: 'TrecvitError: The VideoFrame is closed: close a frame after it was pushed, not before',
    bitmap:
      'TrecvitError: The ImageBitmap is 0x0 pixels: sides must be integers from 1 to ' +
      '16384, with at most 67108864 pixels together',
  },
  'what has no picture is one sentence': {
    video:
      'TrecvitError: The <video> has no picture yet: wait for its event "loadeddata" before it ' +
      'is pushed',
    img:
      'TrecvitError: The <img> has no picture: await its decode() before it is pushed, and ' +
      'check its address',
    canvas:
      'TrecvitError: The OffscreenCanvas is 0x4 pixels: sides must be integers from 1 to ' +
      '16384, with at most 67108864 pixels together',
    div:
      'TrecvitError: A frame expected an array { data, shape }, a decoded frame, an ImageData ' +
      'or another picture of a page, got HTMLDivElement',
    classify:
      'TrecvitError: A <video> is one picture at a time: pass the address of its file, or its ' +
      'frames by fromTrack of "trecvit/video"',
  },
  'a <video> is followed to its end': (result) => {
    assert.equal(result.pushed, 1)
    // Firefox shows one or the other picture again.
    assert(result.back <= 2, `times do not grow: ${result.times}`)
    // It also counts pictures that a busy machine makes it show again.
    assert(result.seen > 10 && result.counted <= 300, JSON.stringify(result))
  },
  'a camera gives the newest frame; leaving the loop frees it': {
    size: '640x480',
    first: 0,
    slow: true,
    dropped: true,
    state: 'ended',
    again: 'TrecvitError: The live source was closed: open it again',
  },
  'a signal ends a camera with its reason, also while it is waited for': {
    why: 'Error: enough',
    state: 'ended',
    before: 'Error: early',
  },
  'a track that ends, and close, end the loop; the track of a caller is not stopped': {
    frames: 5,
    left: 'live',
    more: true,
    last: true,
  },
}

let [passed, failed] = [0, 0]
async function check(name, work) {
  const start = performance.now()
  try {
    await work()
    passed++
    console.log(`ok    ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.message.slice(0, 1500)}`)
  }
}

async function withPage(browser, address, use) {
  const page = await browser.newPage()
  page.on('pageerror', (error) => console.log(`error of the page: ${error.message}`))
  try {
    await page.goto(address)
    await use(page)
  } finally {
    await page.close()
  }
}

const errorOfCamera = async (page) => {
  await page.evaluate(prepare)
  return page.evaluate(() => globalThis.t.errorOf(() => globalThis.t.camera()))
}

for (const [name, launch] of Object.entries(browsers)) {
  const browser = await launch(...fake[name])
  await check(`${name}: the page of docs/camera.md names what the camera shows`, () =>
    withPage(browser, `${server.address}/camera`, async (page) => {
      await page.waitForFunction(
        () => !/^Allow/.test(document.querySelector('h1').textContent),
        undefined,
        { timeout: TIMEOUT },
      )
      assert.match(await page.textContent('h1'), /^(static|shake|pan|tilt|zoom|roll)/)
      assert(await page.evaluate(() => document.querySelector('video').srcObject.active))
    }),
  )
  await withPage(browser, server.address, async (page) => {
    await page.evaluate(prepare)
    for (const [test, work] of Object.entries(tests))
      await check(`${name}: ${test}`, async () => {
        const got = await Promise.race([
          page.evaluate(work),
          new Promise((_, fail) => setTimeout(fail, TIMEOUT, new Error('no end')).unref()),
        ])
        const want = expected[test]
        if (typeof want === 'function') want(got)
        else assert.deepEqual(got, want)
      })
  })
  await browser.close()
  const other = await launch(...withGpu[name])
  await check(`${name}: a GPU reads pictures`, () =>
    withPage(other, server.address, async (page) => {
      await page.evaluate(prepare)
      const { differences, ...rest } = await page.evaluate(byGpu)
      const { frame, bitmap } = expected['frames may be closed as soon as they were pushed']
      assert.deepEqual(rest, { backend: 'webgpu', first: bitmap, frame, bitmap })
      const { image, video, ...pictures } = differences
      assert.equal(image, 0)
      // The planes are converted to RGB by the browser, and not by us.
      assert(video < 0.02, `<video>: ${video}`)
      for (const [kind, off] of Object.entries(pictures)) assert(off < 1e-4, `${kind}: ${off}`)
    }),
  )
  await other.close()
}

const refusing = await browsers.Chromium(
  '--use-fake-device-for-media-stream',
  '--deny-permission-prompts',
  '--host-resolver-rules=MAP insecure.test 127.0.0.1',
)
await check('Chromium: a camera that is not allowed', () =>
  withPage(refusing, server.address, async (page) =>
    assert.equal(
      await errorOfCamera(page),
      'TrecvitError: The camera is not allowed for this page: allow it in the address bar and ' +
        'try again',
    ),
  ),
)
await check('Chromium: a page that is not secure', () =>
  withPage(refusing, server.address.replace('127.0.0.1', 'insecure.test'), async (page) =>
    assert.equal(
      await errorOfCamera(page),
      'TrecvitError: The camera needs a secure page: open it with https://, or at localhost',
    ),
  ),
)
await refusing.close()
const bare = await browsers.Chromium('--use-fake-ui-for-media-stream')
await check('Chromium: no camera', () =>
  withPage(bare, server.address, async (page) =>
    assert.equal(
      await errorOfCamera(page),
      'TrecvitError: The camera was not found: connect one and try again',
    ),
  ),
)
await bare.close()
server.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
