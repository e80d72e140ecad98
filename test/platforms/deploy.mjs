/**
 * The files of examples/deploy. nginx, Caddy and HAProxy forward requests, videos and WebSockets to
 * `trecvit serve`, with TLS. systemd accepts the units, and Redis its settings; the command of a
 * worker's unit runs with them. The Containerfile has no fault that dockerfile-utils finds. The
 * container and the units install the packages that their commands need. Needs a build, nginx,
 * caddy, haproxy, openssl and redis-server.
 *
 *     node test/platforms/deploy.mjs
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { validate } from 'dockerfile-utils'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'

const HOST = 'trecvit.example.com'
const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'trecvit-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const recipe = (name) => readFileSync(join(root, 'examples/deploy', name), 'utf8')

/** Replaces parts of a text. Each must be in it. */
function adapt(text, replacements) {
  return Object.entries(replacements).reduce((before, [old, replacement]) => {
    assert(before.includes(old), `the recipe lacks ${old}`)
    return before.replaceAll(old, replacement)
  }, text)
}

function start(program, ...args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill('SIGKILL'))
  return child
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

const script = join(root, 'dist/cli/index.js')
const server = start(
  process.execPath,
  script,
  'serve',
  '--port',
  '0',
  '--json',
  '--allow-host',
  HOST,
)
const output = await new Promise((resolve) => server.stdout.once('data', resolve))
const upstream = new URL(JSON.parse(String(output)).address).host
const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
const names = ['-subj', `/CN=${HOST}`, '-addext', `subjectAltName=DNS:${HOST}`]
execFileSync(
  'openssl',
  ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...names].concat(
    '-keyout',
    key,
    '-out',
    certificate,
  ),
  { stdio: 'pipe' },
)
const ca = readFileSync(certificate)
const clip = readFileSync(join(root, 'models/tour.mp4'))
let [passed, failed] = [0, 0]

/** Sends a request to the proxy, under the host name of the recipe. */
function send(port, path, { method = 'GET', headers = {}, body } = {}) {
  const where = { host: '127.0.0.1', port, path, method, ca, servername: HOST }
  return new Promise((resolve, reject) => {
    const sent = request(
      { ...where, headers: { Host: `${HOST}:${port}`, ...headers } },
      (answer) => {
        let text = ''
        answer.on('data', (part) => (text += part))
        answer.on('end', () => resolve([answer.statusCode, text]))
      },
    )
    sent.on('error', reject)
    // A body that was refused may still be on its way when its connection is closed.
    sent.on('socket', (socket) => socket.on('error', () => {}))
    sent.end(body)
  })
}

async function check(name, work) {
  try {
    await work()
    passed++
    console.log(`ok    ${name}`)
  } catch (error) {
    failed++
    console.log(`FAIL  ${name}: ${error.stack}`)
  }
}

async function checkProxy(port) {
  for (let tries = 0; ; tries++) {
    const answer = await send(port, '/healthz').catch((error) => error)
    if (Array.isArray(answer) && answer[0] === 200) break
    if (tries === 50) throw new Error(`The proxy does not answer: ${answer}`)
    await sleep(100)
  }
  const headers = { 'Content-Type': 'video/mp4' }
  const path = '/v2/models/builtin/classify'
  const [status, text] = await send(port, path, { method: 'POST', headers, body: clip })
  assert.deepEqual([status, JSON.parse(text).frames], [200, 391])
  const tooLarge = { method: 'POST', headers, body: Buffer.alloc(4e7) }
  const refused = await send(port, path, tooLarge).catch(({ code }) => [code])
  assert([413, 'EPIPE', 'ECONNRESET'].includes(refused[0]), `got ${refused}`)

  const address = `wss://${HOST}:${port}/v2/models/builtin/stream`
  const lookup = (_, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
  const socket = new WebSocket(address, { ca, lookup, origin: `https://${HOST}:${port}` })
  const lines = []
  socket.on('message', (data) => lines.push(JSON.parse(data).frame))
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  socket.send('{"width":96,"height":96}')
  for (let frame = 0; frame < 4; frame++) {
    socket.send(new Uint8Array(27648))
    while (lines.length <= frame) await sleep(5)
  }
  assert.deepEqual(lines, [0, 1, 2, 3])
  socket.close()
}

await check('nginx', async () => {
  const [port, plain] = [await freePort(), await freePort()]
  const site = adapt(recipe('nginx.conf'), {
    '127.0.0.1:8000': upstream,
    'listen 80;': `listen 127.0.0.1:${plain};`,
    'listen [::]:80;': '',
    'listen 443 ssl;': `listen 127.0.0.1:${port} ssl;`,
    'listen [::]:443 ssl;': '',
    '/etc/letsencrypt/live/trecvit.example.com/fullchain.pem': certificate,
    '/etc/letsencrypt/live/trecvit.example.com/privkey.pem': key,
  })
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const http = `http { access_log off; ${paths.join(' ')}\n${site}\n}`
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, `daemon off; pid ${folder}/pid; events {}\n${http}`)
  const options = ['-c', file, '-p', folder, '-e', join(folder, 'error.log')]
  execFileSync('nginx', [...options, '-t'], { stdio: 'pipe' })
  const nginx = start('nginx', ...options)
  await checkProxy(port)
  nginx.kill('SIGTERM')
})

await check('Caddy', async () => {
  const port = await freePort()
  const site = adapt(recipe('Caddyfile'), {
    '127.0.0.1:8000': upstream,
    'trecvit.example.com {': `${HOST}:${port} {\n\ttls ${certificate} ${key}`,
  })
  const file = join(folder, 'Caddyfile')
  writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n}\n${site}`)
  execFileSync('caddy', ['validate', '--config', file, '--adapter', 'caddyfile'], {
    stdio: 'pipe',
  })
  const caddy = start('caddy', 'run', '--config', file, '--adapter', 'caddyfile')
  await checkProxy(port)
  caddy.kill('SIGTERM')
})

await check('HAProxy', async () => {
  const port = await freePort()
  const config = adapt(recipe('haproxy.cfg'), {
    'bind :8080': `bind 127.0.0.1:${port} ssl crt ${folder}/both.pem`,
    '127.0.0.1:8001': upstream,
    '    server b 127.0.0.1:8002\n': '',
  })
  writeFileSync(join(folder, 'both.pem'), readFileSync(certificate, 'utf8') + readFileSync(key))
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(file, config)
  execFileSync('haproxy', ['-c', '-f', file], { stdio: 'pipe' })
  const haproxy = start('haproxy', '-f', file)
  await checkProxy(port)
  haproxy.kill('SIGTERM')
})

/** Writes a unit with the paths of this machine. */
function unitOf(name) {
  const unit = adapt(recipe(name), {
    '/usr/bin/node': process.execPath,
    '/opt/trecvit/node_modules/trecvit/': root,
  })
  const file = join(folder, name)
  writeFileSync(file, unit)
  return { file, unit }
}

for (const name of ['trecvit.service', 'trecvit-worker@.service'])
  await check(`systemd accepts ${name}`, () => {
    // Without the option, an unknown key is a warning.
    const options = ['verify', '--recursive-errors=yes', unitOf(name).file]
    const { status, stderr } = spawnSync('systemd-analyze', options, { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
  })

await check('a worker, as its unit starts it, with Redis by redis.conf', async () => {
  const port = await freePort()
  const own = join(folder, 'redis.conf')
  writeFileSync(own, recipe('redis.conf'))
  const debian = readFileSync('/etc/redis/redis.conf', 'utf8')
  const file = join(folder, 'all.conf')
  writeFileSync(file, `${debian}\ninclude ${own}\n`)
  const place = ['--port', port, '--dir', folder, '--pidfile', join(folder, 'redis.pid')]
  const redis = start('redis-server', file, ...place, '--daemonize', 'no', '--logfile', '')
  let log = ''
  for await (const part of redis.stdout) if (/Ready to accept/.test((log += part))) break
  const client = new Redis(port)
  const { unit } = unitOf('trecvit-worker@.service')
  const [program, ...args] = /^ExecStart=(.*)$/m.exec(unit)[1].split(' ')
  const env = { ...process.env, TRECVIT_QUEUE: `redis://127.0.0.1:${port}` }
  const worker = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise((resolve) => worker.on('exit', resolve))
  try {
    for (const [name, value] of [
      ['appendonly', 'yes'],
      ['appendfsync', 'always'],
      ['save', ''],
      ['maxmemory-policy', 'noeviction'],
      ['maxmemory', `${4 * 2 ** 30}`],
    ])
      assert.deepEqual(await client.config('GET', name), [name, value])
    const said = await new Promise((resolve) => worker.stderr.once('data', resolve))
    assert.match(String(said), /^The queue "videos" is empty; waiting for "trecvit jobs submit"$/m)
    worker.kill('SIGTERM')
    assert.equal(await ended, Number(/^SuccessExitStatus=(.*)$/m.exec(unit)[1]))
  } finally {
    worker.kill('SIGKILL')
    client.disconnect()
    redis.kill('SIGTERM')
  }
})

await check('the Containerfile', () => assert.deepEqual(validate(recipe('Containerfile')), []))

await check('the container and the units install what their commands need', () => {
  const { version, peerDependencies: peers } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const serving = ['hono', '@hono/node-server', 'ws', 'piscina', 'prom-client', 'ioredis']
  const working = ['bullmq', 'ioredis', 'prom-client']
  for (const [file, packages] of [
    ['trecvit.service', serving],
    ['trecvit-worker@.service', working],
    ['Containerfile', [...serving, ...working]],
  ])
    for (const name of [
      `./trecvit-${version}.tgz`,
      ...packages.map((name) => ` ${name}@${/\d+/.exec(peers[name])[0]}`),
    ])
      assert(recipe(file).includes(name), `${file} lacks ${name}`)
})

server.kill('SIGTERM')
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
