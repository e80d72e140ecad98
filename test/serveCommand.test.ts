/** The command itself: its output, its end, and the examples of docs/serving.md. */
import { type ChildProcess, execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { hasFfmpeg } from './clips.ts'
import {
  file,
  folder,
  lines,
  noise,
  type Outcome,
  outcome,
  run,
  start,
  tinyNpz,
} from './commandLine.ts'
import { joined } from './joined.ts'

const FRAME = 768
const model = file('a tiny model.npz', tinyNpz())
let child: ChildProcess | undefined

afterEach(() => void child?.kill('SIGKILL'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Starts a server. Returns it with its outcome, which resolves at its end. */
async function serve(
  ...args: string[]
): Promise<{ line: string; ended: Promise<Outcome>; address: string; child: ChildProcess }> {
  const server = (child = start(['serve', '--port', '0', ...args]))
  const ended = outcome(server)
  const line = await Promise.race([
    new Promise<string>((resolve) =>
      server.stdout!.once('data', (part: Buffer) => resolve(part.toString())),
    ),
    ended.then(({ stderr }) => stderr),
  ])
  return { line, ended, address: /http:\/\/[^/]+/.exec(line)![0], child: server }
}

/** Sends a request with many frames. Resolves when they are sent. */
async function infer(address: string, frames: number): Promise<{ answer: Promise<Response> }> {
  let answer: Promise<Response>
  await new Promise<void>((sent) => {
    const parts = [new Uint8Array(frames * FRAME)]
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const part = parts.shift()
        if (part) return controller.enqueue(part)
        controller.close()
        sent()
      },
    })
    answer = fetch(`${address}/v2/models/a%20tiny%20model/infer`, {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'Inference-Header-Content-Length': '0' },
    } as RequestInit)
  })
  await new Promise((resolve) => setTimeout(resolve, 200))
  return { answer: answer! }
}

/** Resolves when a server accepts no more connections. */
async function refused(address: string): Promise<void> {
  const isListening = () =>
    fetch(`${address}/v2/health/live`).then(
      () => true,
      () => false,
    )
  while (await isListening()) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('trecvit serve', () => {
  test('prints address and models, and exits with 130 after Ctrl-C', { tags: 'slow' }, async () => {
    const { line, address, ended, child } = await serve('--model', model)
    expect(line).toMatch(
      joined(
        /^http:\/\/127\.0\.0\.1:\d+\/ {2}\(Ctrl-C ends it\)\n/,
        /http:.*\/v2\/models\/a%20tiny%20model {2}\S.* on wasm \([\w-]+, \d threads?\)\n$/,
      ),
    )
    expect(await (await fetch(`${address}/v2/models/a%20tiny%20model`)).json()).toMatchObject({
      name: 'a tiny model',
    })
    child.kill('SIGINT')
    expect(await ended).toEqual({ code: 130, stdout: line, stderr: '' })
  })

  test('--json; listening on all addresses gives a warning', { tags: 'slow' }, async () => {
    const { line, ended, child } = await serve('--model', model, '--json', '--host', '0.0.0.0')
    expect(JSON.parse(line)).toMatchObject({
      address: expect.stringMatching(/^http:\/\/0\.0\.0\.0:\d+\/$/),
      models: [{ source: model, name: 'a tiny model', device: { backend: 'wasm' } }],
    })
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/^warning: everybody who can reach 0\.0\.0\.0 [^\n]+\n$/),
    })
  })

  test('several models; --access-log: standard output holds lines of JSON only', {
    tags: 'slow',
  }, async () => {
    const { ended, child, address, line } = await serve(
      ...['--model', model, '--model', 'motion=builtin', '--json', '--access-log'],
    )
    expect(JSON.parse(line).models).toMatchObject([
      { name: 'a tiny model', source: model },
      { name: 'motion', source: 'builtin' },
    ])
    await fetch(`${address}/v2/models/motion/ready`)
    await fetch(`${address}/v2/models?a=b`)
    child.kill('SIGTERM')
    const { stdout } = await ended
    const logged = stdout.slice(line.length).trimEnd().split('\n')
    expect(logged.map((row) => JSON.parse(row))).toMatchObject([
      { method: 'GET', path: '/v2/models/motion/ready', status: 200, client: '127.0.0.1' },
      { time: expect.stringMatching(/^\d{4}-.*Z$/), path: '/v2/models', status: 200 },
    ])
  })

  test('Ctrl-C finishes running requests, a second one does not', { tags: 'slow' }, async () => {
    const { address, ended, child } = await serve('--model', model)
    const socket = new WebSocket(
      `${address.replace('http', 'ws')}/v2/models/a%20tiny%20model/stream`,
    )
    const messages: string[] = []
    socket.on('message', (data) => messages.push(String(data)))
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await new Promise((resolve) => socket.on('open', resolve))
    socket.send('{"width":16,"height":16}')
    socket.send(noise(FRAME))
    let done = false
    const began = performance.now()
    const { answer } = await infer(address, 12_000)
    void answer.finally(() => (done = true))
    expect(done).toBe(false)
    child.kill('SIGINT')
    expect(await (await answer).json()).toMatchObject({ model_name: 'a tiny model' })
    const took = performance.now() - began
    expect(await closed).toBe(1001)
    expect(messages.map((message) => JSON.parse(message).frame)).toEqual([0])
    expect(await ended).toMatchObject({ code: 130, stderr: '' })

    const again = await serve('--model', model)
    const { answer: lost } = await infer(again.address, 40_000)
    const outcome = lost.then(
      () => 'answered',
      () => 'lost',
    )
    again.child.kill('SIGINT')
    await refused(again.address)
    const start = performance.now()
    again.child.kill('SIGINT')
    expect(await again.ended).toMatchObject({ code: null, stderr: '' })
    expect(await outcome).toBe('lost')
    // Three times as many frames would take three times as long.
    expect(performance.now() - start).toBeLessThan(Math.max(500, took))
  })

  test('errors are one sentence', { tags: 'slow' }, async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    expect(await run('serve', '--model', model, '--port', String(port))).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^trecvit: Port \d+ of "127\.0\.0\.1" cannot be listened on \(another program[^\n]+\n$/,
      ),
    })
    taken.close()
    for (const args of [
      ['--port', '70000'],
      ['--max-body', '0'],
      ['--timeout', 'x'],
      ['--allow-origin', 'http://a.example/path'],
      ['--allow-host', 'http://a.example'],
      ['--allow-host', 'a.example:80'],
      ['--token', ''],
      ['--token', 'two words'],
    ]) {
      expect(await run('serve', ...args)).toEqual({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^trecvit: [^\n]+\n$/),
      })
    }
  })

  test('--allow-host and a token, which the environment may hold', { tags: 'slow' }, async () => {
    const server = (child = start(
      ['serve', '--port', '0', '--model', model, '--allow-host', 'A.example', 'b.example'],
      { TRECVIT_TOKEN: 'secret' },
    ))
    const ended = outcome(server)
    const [address] = /http:\/\/[^/]+/.exec(
      await new Promise<string>((resolve) =>
        server.stdout!.once('data', (part: Buffer) => resolve(part.toString())),
      ),
    )!
    const status = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        get(`${address}/v2`, { headers }, ({ statusCode }) => resolve(statusCode)).on(
          'error',
          reject,
        )
      })
    const authorization = 'Bearer secret'
    expect(await status({})).toBe(401)
    expect(await status({ authorization })).toBe(200)
    expect(await status({ authorization, host: 'a.example:80' })).toBe(200)
    expect(await status({ authorization, host: 'b.example' })).toBe(200)
    expect(await status({ authorization, host: 'evil.example' })).toBe(403)
    server.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 130, stderr: '' })
  })

  test('SIGTERM answers the frames that wait, in order', { tags: 'slow' }, async () => {
    const { address, ended, child } = await serve('--model', model)
    const socket = new WebSocket(
      `${address.replace('http', 'ws')}/v2/models/a%20tiny%20model/stream`,
    )
    const lines: string[] = []
    socket.on('message', (data) => lines.push(String(data)))
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await new Promise((resolve) => socket.on('open', resolve))
    socket.send('{"width":100,"height":100}')
    for (let i = 0; i < 200; i++) socket.send(noise(30_000, i))
    while (!lines.length) await new Promise((resolve) => setTimeout(resolve, 5))
    child.kill('SIGTERM')
    expect(await closed).toBe(1001)
    expect(await ended).toMatchObject({ code: 130, stderr: '' })
    expect(lines.map((line) => JSON.parse(line).frame)).toEqual(lines.map((_, frame) => frame))
  })

  test('with TRECVIT_DEBUG every answer is a line', { tags: 'slow' }, async () => {
    const server = (child = start(['serve', '--port', '0', '--model', model], {
      TRECVIT_DEBUG: '1',
    }))
    const ended = outcome(server)
    const [address] = /http:\/\/[^/]+/.exec(
      await new Promise<string>((resolve) =>
        server.stdout!.once('data', (part: Buffer) => resolve(part.toString())),
      ),
    )!
    await fetch(`${address}/v2/nothing`)
    server.kill('SIGINT')
    expect(lines((await ended).stderr)).toContainEqual(
      expect.stringMatching(/^debug: GET \/v2\/nothing 404 \d+ ms$/),
    )
  })
})

describe('docs/serving.md', () => {
  // Runs the command blocks unchanged. Where they use port 8000, curl connects to the port of this
  // test.
  const page = readFileSync(new URL('../docs/serving.md', import.meta.url), 'utf8')
  const [first, second] = Array.from(
    page.matchAll(/^```sh ci\n([\s\S]*?)^```$/gm),
    ([, block]) => block!,
  )

  test.skipIf(!hasFfmpeg())('its commands work', { tags: 'slow' }, async () => {
    expect(first).toBe('npx trecvit serve\n')
    const rest = second!.split(/\n(?! )/).filter((command) => command !== '')
    const { address, ended, child } = await serve()
    file(
      '.curlrc',
      'connect-to = ' +
        `"127.0.0.1:8000:127.0.0.1:${address.split(':').at(-1)}"\nsilent\nshow-error\nfail\n`,
    )
    const root = fileURLToPath(new URL('..', import.meta.url))
    const responses = []
    for (const command of rest)
      responses.push(
        (
          await promisify(execFile)('bash', ['-o', 'pipefail', '-c', command], {
            cwd: root,
            env: { ...process.env, CURL_HOME: folder },
          })
        ).stdout,
      )
    const [ready, metadata, answer, labels] = responses.map((text) => JSON.parse(text))
    expect(responses.length).toBe(4)
    expect(ready).toEqual({ ready: true })
    expect(metadata).toMatchObject({ name: 'builtin', inputs: [{ shape: [-1, -1, 96, 96, 3] }] })
    expect(answer.outputs[2].data[0]).toBe('static')
    expect(labels.outputs).toEqual([
      { name: 'labels', datatype: 'BYTES', shape: [1, 1], data: [expect.any(String)] },
    ])
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
  })
})
