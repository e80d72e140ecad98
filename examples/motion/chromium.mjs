// node examples/motion/chromium.mjs [--chromium path] [--steps n] [--threads n] [--seed n]
// [--out file]: what run.mjs scratch does in Node, in a page of Chromium without a window.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { bundle } from './bundle.mjs'

const { chromium, out, ...given } = parseArgs({
  options: {
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    steps: { type: 'string' },
    threads: { type: 'string' },
    seed: { type: 'string' },
    out: { type: 'string', default: 'build/scratch-chromium.csv' },
  },
}).values

const page = `<!doctype html>
<script>onerror = (message) => void fetch('/end', { method: 'POST', body: message })</script>
<script type="module" src="/page.js"></script>`
const script = readFileSync(await bundle('scratchPage', 'browser'))
const lines = []
const begin = performance.now()
let close
const closed = new Promise((resolve) => {
  close = resolve
})
const server = createServer(async (request, response) => {
  const body = request.method === 'POST' ? await text(request) : ''
  const file = request.url?.endsWith('.js') ? script : undefined
  response.setHeader('Content-Type', file ? 'text/javascript' : 'text/html')
  // Threads share memory, which pages may only with these.
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
  response.end(file ?? page)
  if (request.url === '/end') return close(body)
  if (request.url !== '/line') return
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  lines.push(`${lines.length ? seconds : 'seconds'},${body}`)
  console.error(lines.at(-1))
  writeFileSync(out, `${lines.join('\n')}\n`)
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const profile = mkdtempSync(join(tmpdir(), 'trecvit-'))
const url = `http://127.0.0.1:${server.address().port}/?${new URLSearchParams(given)}`
const browser = spawn(
  chromium,
  ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`, url],
  { stdio: 'ignore', detached: true },
)
browser.on('exit', () => close('Chromium has ended'))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => close('Stopped'))
const failure = await closed
browser.removeAllListeners('exit')
try {
  process.kill(-browser.pid)
} catch {
  // It has ended.
}
server.close()
server.closeAllConnections()
setTimeout(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }), 500)
if (failure) {
  console.error(failure)
  process.exitCode = 1
}
