/**
 * trecvit serve in other runtimes: its answers over HTTP and by WebSocket are those of the library
 * in Node, and Ctrl-C ends it. Needs a build with the page (node examples/demo/build.mjs), and npm
 * install --prefix test/platforms.
 *
 *     node test/platforms/served.mjs
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { TRecViT } from '../../dist/index.js'
import { openVideo } from '../../dist/video/index.js'

const platforms = fileURLToPath(new URL('node_modules', import.meta.url))
const runtimes = {
  Node: [process.execPath],
  Deno: [`${platforms}/@deno/linux-x64-glibc/deno`, 'run', '-A'],
  Bun: [`${platforms}/@oven/bun-linux-x64/bin/bun`],
}
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))

let seed = 1
const frames = Array.from({ length: 40 }, () =>
  Uint8Array.from(
    { length: 27648 },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  ),
)
const picture = readFileSync(new URL('../media/picture.jpg', import.meta.url))
const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
const stream = model.stream({ average: 'all' })
const expected = []
for (const data of frames) expected.push(await stream.push({ data, shape: [96, 96, 3] }))
const {
  top: [shownClass],
} = await model.classify(await openVideo(picture))
await model.dispose()

for (const [name, [program, ...args]] of Object.entries(runtimes)) {
  const server = spawn(program, [...args, script, 'serve', '--port', '0', '--deterministic'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.on('exit', () => server.kill('SIGKILL'))
  const ended = new Promise((resolve) => server.on('exit', resolve))
  const [, host] = /http:\/\/([^/]+)/.exec(
    await new Promise((resolve) => server.stdout.once('data', (part) => resolve(String(part)))),
  )

  const page = await fetch(`http://${host}/`)
  assert.match(await page.text(), /<title>trecvit/)
  assert.equal(page.headers.get('cross-origin-embedder-policy'), 'require-corp')
  const answer = await fetch(`http://${host}/v2/models/builtin/infer`, {
    method: 'POST',
    body: Buffer.concat(frames),
    headers: { 'Inference-Header-Content-Length': '0' },
  })
  assert.deepEqual((await answer.json()).outputs[0].data, [...expected.at(-1).logits.data])
  for (const [status, init] of [
    [400, { method: 'POST', body: '{' }],
    [413, { method: 'POST', body: new Uint8Array(4e7) }],
    [405, {}],
  ]) {
    const refused = await fetch(`http://${host}/v2/models/builtin/infer`, init)
    assert.equal(refused.status, status)
    assert((await refused.json()).error)
  }

  const socket = new WebSocket(`ws://${host}/v2/models/builtin/stream`)
  const messages = []
  socket.on('message', (data, isBinary) => messages.push(isBinary ? data : JSON.parse(data)))
  const closed = new Promise((resolve) => socket.on('close', resolve))
  await new Promise((resolve) => socket.on('open', resolve))
  socket.send('{"width":96,"height":96,"average":"all"}')
  for (const frame of frames) socket.send(frame)
  socket.send('{"snapshot":true}')
  while (messages.length <= frames.length) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(
    messages.slice(0, -1).map(({ frame, probs }) => ({ frame, probs })),
    expected.map(({ frame, probs }) => ({ frame, probs: [...probs.data] })),
  )
  assert.equal(messages.at(-1).subarray(0, 4).toString(), 'TRVS')

  // A picture is decoded on a thread of its own, and a ping is answered meanwhile.
  const pictures = new WebSocket(`ws://${host}/v2/models/builtin/versions/1/stream`)
  const lines = []
  let pongs = 0
  pictures.on('message', (data) => lines.push(JSON.parse(data)))
  pictures.on('pong', () => pongs++)
  await new Promise((resolve) => pictures.on('open', resolve))
  pictures.send('{"average":"all"}')
  pictures.send(picture)
  pictures.ping()
  while (!lines.length || !pongs) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(lines, [{ ...lines[0], frame: 0, ...shownClass }])
  pictures.send('no picture')
  await new Promise((resolve) => pictures.on('close', resolve))
  assert(lines[1].error)

  const metrics = await (await fetch(`http://${host}/metrics`)).text()
  assert.match(metrics, /^trecvit_frames_total\{kind="stream",model="builtin"\} 41$/m)
  assert.match(metrics, /^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m)
  assert.equal(await statusOf(host, 'evil.example'), 403)
  assert.deepEqual(await (await fetch(`http://${host}/v2/health/ready`)).json(), { ready: true })
  server.kill('SIGINT')
  assert.equal(await closed, 1001)
  assert.equal(await ended, 130)
  console.log(`ok    ${name}`)
}

/** The status of a request that names another host, which fetch does not. */
function statusOf(address, host) {
  return new Promise((resolve, reject) => {
    get(`http://${address}/v2`, { headers: { host } }, ({ statusCode }) => resolve(statusCode)).on(
      'error',
      reject,
    )
  })
}
