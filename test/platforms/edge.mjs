/**
 * The edge example (examples/edge) in workerd and in Deno, over the packed package: the same twenty
 * lines must answer with the bits of Node.
 *
 *     node test/platforms/edge.mjs
 */
import { spawn } from 'node:child_process'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPacked } from './packed.mjs'
import { startWorkerd } from './workerd.mjs'

const [, expectedHash] = /expectedHash = '(\w+)'/.exec(
  readFileSync(new URL('../../src/cli/selfTest.ts', import.meta.url), 'utf8'),
)
const { folder } = installPacked()
cpSync(fileURLToPath(new URL('../../examples/edge', import.meta.url)), folder, { recursive: true })

let seed = 1
const frames = Uint8Array.from(
  { length: 16 * 96 * 96 * 3 },
  () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
)

/** Asks for the answers to good frames and to bad ones. */
async function check(name, post) {
  const good = await (await post({ method: 'POST', body: frames })).json()
  const digest = await crypto.subtle.digest('SHA-256', Float32Array.from(good.logits.flat()))
  const hash = Buffer.from(digest).toString('hex')
  if (hash !== expectedHash)
    throw new Error(`${name} expected the hash ${expectedHash}, got ${hash}`)
  for (const [status, init] of [
    [400, { method: 'POST', body: frames.subarray(1) }],
    [405, {}],
    [413, { method: 'POST', body: new Uint8Array(8e6) }],
  ]) {
    const answer = await post(init)
    const { error } = await answer.json()
    if (answer.status !== status || !error)
      throw new Error(`${name} expected status ${status} with an error, got ${answer.status}`)
  }
  console.log(`ok    ${name}: the bits of Node; 400, 405 and 413 where they belong`)
}

const worker = await startWorkerd(join(folder, 'worker.js'), { folder })
await check('workerd', (init) => worker.dispatchFetch('http://localhost/', init))
await worker.dispose()

const deno = fileURLToPath(new URL('node_modules/@deno/linux-x64-glibc/deno', import.meta.url))
const server = spawn(
  deno,
  [
    'run',
    '--allow-net=127.0.0.1',
    '--allow-read',
    '--allow-env',
    '--node-modules-dir=manual',
    'server.js',
    '0',
  ],
  { cwd: folder },
)
process.on('exit', () => server.kill())
const address = await new Promise((done, fail) => {
  let output = ''
  for (const stream of [server.stdout, server.stderr]) {
    stream.on('data', (part) => {
      output += part
      const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(output) ?? []
      if (found) done(found)
    })
  }
  server.on('exit', (code) => fail(new Error(`Deno ended with ${code}: ${output}`)))
})
await check('Deno', (init) => fetch(address, init))
server.removeAllListeners('exit')
server.kill()
