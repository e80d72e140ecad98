/**
 * The built package in pages of Chromium: isolated or not, under a strict security policy, in a
 * service worker. Everywhere the built-in model must answer with the same bits, on as many threads
 * as the page allows.
 *
 *     node test/platforms/pages.mjs [path of chromium]
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { availableParallelism, tmpdir } from 'node:os'
import { extname, join } from 'node:path'

const chromium = process.argv[2] ?? '/usr/bin/chromium'
const [, expectedHash] = /expectedHash = '(\w+)'/.exec(
  readFileSync(new URL('../../src/cli/selfTest.ts', import.meta.url), 'utf8'),
)

const isolated = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}
const strict = {
  'Content-Security-Policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
}
const many = Math.min(8, availableParallelism())
/** What each page is served with, what the model is loaded with, and what its device must say. */
const cases = [
  { name: 'isolated', headers: isolated, options: {}, threads: many, reason: /^null$/ },
  {
    name: 'not isolated',
    headers: {},
    options: {},
    threads: 1,
    reason: many > 1 ? /memory cannot be shared here/ : /^null$/,
  },
  {
    name: 'isolated under a strict policy',
    headers: { ...isolated, ...strict },
    options: {},
    threads: 1,
    reason: /workers are refused/,
  },
  {
    name: 'the same with workerUrl',
    headers: { ...isolated, ...strict },
    options: { workerUrl: '/dist/worker.js' },
    threads: many,
    reason: /^null$/,
  },
  {
    name: 'service worker',
    headers: isolated,
    options: {},
    inService: true,
    threads: 1,
    reason: /there are no workers here/,
  },
]

/** Seconds that a video is followed at its own rate beside an animation. */
const FOLLOWED = 3

/**
 * Runs in the page: the test of `trecvit doctor`, and how late a timer of the page was at most
 * meanwhile; then a video of 30 frames a second beside an animation, and what the page's observer
 * calls long tasks, those over 50 ms.
 */
const body = (options, inService) => `
  import { TRecViT } from '/dist/index.js'
  ${inService ? "import motion from '/dist/motion.js'" : "const motion = 'builtin'"}
  export async function test() {
    const options = ${JSON.stringify(options)}
    const model = await TRecViT.load(motion, { device: 'wasm', deterministic: true, ...options })
    const stream = model.stream({ average: 'all' })
    const logits = []
    let seed = 1
    const byte = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24
    const frames = Array.from({ length: 16 }, () => Uint8Array.from({ length: 96 * 96 * 3 }, byte))
    const push = (index) => stream.push({ data: frames[index % 16], shape: [96, 96, 3] })
    for (let index = 0; index < 16; index++) logits.push(...(await push(index)).logits.data)

    const start = performance.now()
    let last = start, late = 0
    const tick = () => {
      late = Math.max(late, performance.now() - last - 4)
      last = performance.now()
    }
    const timer = setInterval(tick, 4)
    for (let index = 0; index < 300; index++) await push(index)
    const milliseconds = (performance.now() - start) / 300
    tick()
    clearInterval(timer)
    const drawn = [], long = []
    if (globalThis.requestAnimationFrame) {
      const note = (entries) => long.push(...entries.map(({ duration }) => duration))
      const observer = new PerformanceObserver((list) => note(list.getEntries()))
      observer.observe({ type: 'longtask' })
      let running = true, before
      const draw = (now) => {
        if (before !== undefined) drawn.push(now - before)
        before = now
        if (running) requestAnimationFrame(draw)
      }
      requestAnimationFrame(draw)
      const begin = performance.now()
      for (let index = 0; index < 30 * ${FOLLOWED}; index++) {
        const wait = begin + (1000 * index) / 30 - performance.now()
        await new Promise((resolve) => setTimeout(resolve, wait))
        await push(index)
      }
      running = false
      note(observer.takeRecords())
    }
    const digest = await crypto.subtle.digest('SHA-256', Float32Array.from(logits))
    await model.dispose()
    const bytes = Array.from(new Uint8Array(digest), (one) => one.toString(16).padStart(2, '0'))
    return { device: model.device, milliseconds, late, drawn, long, hash: bytes.join('') }
  }`
const report =
  'test().catch((error) => ({ error: String(error.stack) }))' +
  ".then((result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) }))"

let current
let tell
const types = {
  '.js': 'text/javascript',
  '.safetensors': 'application/octet-stream',
  '.wasm': 'application/wasm',
}
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost')
  const send = (type, content) =>
    response.writeHead(200, { 'Content-Type': type, ...current.headers }).end(content)
  if (request.method === 'POST') {
    let text = ''
    request
      .on('data', (part) => (text += part))
      .on('end', () => (response.end(), tell(JSON.parse(text))))
  } else if (pathname === '/') send('text/html', '<script type="module" src="/page.js"></script>')
  else if (pathname === '/page.js') {
    send(
      'text/javascript',
      current.inService
        ? "navigator.serviceWorker.register('/service.js', { type: 'module' })"
        : `${body(current.options)}\n${report}`,
    )
  } else if (pathname === '/service.js')
    send(
      'text/javascript',
      `${body(current.options, true)}\naddEventListener('install', ` +
        `(event) => event.waitUntil(${report}))`,
    )
  else {
    try {
      send(
        types[extname(pathname)] ?? 'text/plain',
        readFileSync(new URL(`../..${pathname}`, import.meta.url)),
      )
    } catch {
      response.writeHead(404).end()
    }
  }
})
await new Promise((resolve) => server.listen(0, resolve))

let faults = 0
const root = mkdtempSync(join(tmpdir(), 'trecvit-'))
for (current of cases) {
  const result = new Promise((resolve) => {
    tell = resolve
    setTimeout(() => resolve({ error: 'no answer within 30 s' }), 30_000).unref()
  })
  const browser = spawn(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--remote-debugging-port=0',
      `--user-data-dir=${join(root, String(cases.indexOf(current)))}`,
      `http://localhost:${server.address().port}/`,
    ],
    { stdio: 'ignore', detached: true },
  )
  const { error, device, hash, milliseconds, late, drawn, long } = await result
  // Its children, too.
  process.kill(-browser.pid)
  await new Promise((resolve) => browser.on('exit', resolve))
  const right =
    !error &&
    hash === expectedHash &&
    device.threads === current.threads &&
    current.reason.test(String(device.reason)) &&
    long.length === 0
  if (!right) faults++
  const beside =
    !error && drawn.length
      ? `${(drawn.length / FOLLOWED).toFixed(0)} pictures a second beside a video, ` +
        `${long.length} long tasks, `
      : ''
  const found =
    error ??
    `${device.threads} threads, ${milliseconds.toFixed(2)} ms a frame, ` +
      `a timer ${late.toFixed(1)} ms late at most, ${beside}` +
      `${hash === expectedHash ? 'the right bits' : hash}; ${device.reason}`
  console.log(`${right ? 'ok   ' : 'FAIL '} ${current.name}: ${found}`)
}
server.close()
rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
if (faults) process.exit(1)
