/**
 * trecvit/client in Node, Deno and Bun, and in pages of Chromium and Firefox from another origin,
 * against two servers that share Redis. The connection of each stream is cut after some frames, and
 * the next one leads to the other server. The answers are those of the library, each once. Needs a
 * build, redis-server, the browsers, and npm install --prefix test/platforms.
 *
 *     node test/platforms/client.mjs
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { TRecViT } from '../../dist/index.js'
import { check, counts } from '../fleet/checks.mjs'
import { startRedis } from '../fleet/redis.mjs'
import { inPage } from './browsers.mjs'
import { CLIP, FRAMES, frameOf } from './clientAnswers.mjs'
import { runIn } from './runtimes.mjs'

const TOKEN = 'secret'
/** Bytes from the client after which a connection is cut: 80 of its frames. */
const CUT = 80 * 96 * 96 * 3
const script = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))

const redis = await startRedis()
const client = new Redis(redis.port)

/** Starts `trecvit serve` for pages of these origins. Returns its port. */
async function serve(origins) {
  const state = ['--state', redis.url, '--deterministic', '--threads', '1']
  const args = ['serve', '--port', '0', ...state, '--allow-origin', ...origins]
  const server = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, TRECVIT_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.on('exit', () => server.kill('SIGKILL'))
  const line = await new Promise((resolve) => server.stdout.once('data', resolve))
  return Number(/:(\d+)\//.exec(String(line))[1])
}

/** Starts a balancer. After `cutNext`, one connection is cut, and later ones reach another port. */
async function balance(ports) {
  let cuts = 0
  let at = 0
  const server = createServer((socket) => {
    const upstream = connect(ports[at], '127.0.0.1')
    let received = 0
    socket.on('data', (part) => {
      received += part.length
      if (cuts === 0 || received < CUT) return
      cuts--
      at = 1 - at
      socket.destroy()
    })
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ])
      one
        .on('error', () => {})
        .on('close', () => other.destroy())
        .pipe(other)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, cutNext: () => (cuts = 1) }
}

/** Answers of the library: of a clip, and of each frame of a stream. */
const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true, threads: 1 })
const stream = model.stream({ average: 'all' })
const expected = []
let clip
for (let frame = 0; frame < FRAMES; frame++) {
  const { probs, logits, top } = await stream.push({ data: frameOf(frame), shape: [96, 96, 3] })
  expected.push([frame, ...probs.data])
  if (frame === CLIP - 1) clip = { logits: [...logits.data], label: top[0].label }
}
await model.dispose()

/** @param answer returns the answers of a runtime, given the address of the server */
async function checkRuntime(name, balancer, answer) {
  await check(name, async () => {
    balancer.cutNext()
    const { inferred, none, locked, ready, answers, connections } = await answer(balancer.url)
    assert.deepEqual(inferred, [clip, clip])
    assert.deepEqual(answers, expected)
    assert.equal(connections, 2)
    assert.deepEqual(ready, [true, false])
    const { message, status } = none
    assert.equal(status, 404)
    assert.equal(message, 'There is no model "none"; this server has "builtin"')
    assert.equal(locked.status, 401)
    // Both servers have had the stream, and its end has deleted the state.
    assert.deepEqual(await client.keys('trecvit:stream:*'), [])
  })
}

await inPage('chromium', (chromium) =>
  inPage('firefox', async (firefox) => {
    const pages = { Chromium: chromium, Firefox: firefox }
    const origins = Object.values(pages).map((page) => new URL(page.url()).origin)
    const balancer = await balance([await serve(origins), await serve(origins)])
    for (const name of ['Node 24', 'Deno', 'Bun'])
      await checkRuntime(name, balancer, (SERVER) => {
        Object.assign(process.env, { SERVER, TOKEN, RUNTIME: name })
        return runIn(name, 'clientReport.mjs')
      })
    for (const [name, page] of Object.entries(pages))
      await checkRuntime(name, balancer, (url) =>
        page.evaluate(
          async (given) => {
            const library = await import('/dist/client/index.js')
            const { clientAnswers } = await import('/test/platforms/clientAnswers.mjs')
            return clientAnswers(library, ...given)
          },
          [url, TOKEN, name],
        ),
      )
  }),
)

client.disconnect()
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exit(counts.failed ? 1 : 0)
