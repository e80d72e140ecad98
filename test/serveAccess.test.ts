/** Access to trecvit serve (hosts, tokens), its readiness and its metrics. */
import { connect } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import type { ServeOptions } from '../src/cli/serve/app.ts'
import { type Listening, listen } from '../src/cli/serve/listen.ts'
import { type ForwardResult, TRecViT, TrecvitError } from '../src/index.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { file, noise, tinyNpz } from './commandLine.ts'
import { watchedWorkers } from './faults.ts'
import {
  appOf,
  FRAME,
  infer,
  model,
  outputsOf,
  post,
  request,
  unexpected,
  useModel,
} from './serving.ts'

useModel()

const body = request([...noise(FRAME)])

describe('hosts', () => {
  const status = async (host: string, options: Partial<ServeOptions> = {}, path = '/v2') =>
    (await appOf(options).request(path, { headers: { host } })).status

  test('loopback names, the address listened on and allowed names are served', async () => {
    for (const host of [
      'localhost',
      'LOCALHOST:80',
      '127.0.0.1:8000',
      '127.9.9.9',
      '[::1]:8000',
      '[::1]',
    ]) {
      expect([host, await status(host)]).toEqual([host, 200])
    }
    expect(await status('mybox:8000', { address: 'mybox' })).toBe(200)
    expect(await status('192.168.1.5', { address: '192.168.1.5' })).toBe(200)
    expect(await status('a.example', { hosts: ['a.example'] })).toBe(200)
    // An IP address cannot be rebound.
    for (const host of ['192.168.1.5:8000', '[fe80::1]']) {
      expect(await status(host, { address: '0.0.0.0' })).toBe(200)
    }
  })

  test('every other name is refused, on every route', async () => {
    for (const host of [
      'evil.example',
      'evil.example:8000',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      '0x7f.1',
      'x@localhost',
      '[::1',
      '',
    ]) {
      expect([host, await status(host)]).toEqual([host, 403])
    }
    expect(await status('evil.example', { address: '0.0.0.0' })).toBe(403)
    expect(await status('b.example', { hosts: ['a.example'] })).toBe(403)
    for (const path of [
      '/',
      '/nothing',
      '/metrics',
      '/v2/health/live',
      infer,
      '/v2/models/tiny/stream',
    ]) {
      expect([path, await status('evil.example', {}, path)]).toEqual([path, 403])
    }
    // DNS rebinding: the page's own name has the address of this machine. The browser sees one
    // origin.
    const answer = await appOf().request('/v2', {
      headers: { host: 'evil.example', origin: 'http://evil.example' },
    })
    expect(answer.status).toBe(403)
    expect(await answer.json()).toEqual({
      error: expect.stringMatching(/host "evil\.example" is not allowed.*--allow-host/),
    })
  })
})

describe('a token', () => {
  const secured = () => appOf({ token: 'a+secret/==', origins: ['http://page.example'] })
  const get = (path: string, headers: Record<string, string> = {}) =>
    secured().request(path, { headers })

  test('is needed for /v2 and /metrics, not for the page', async () => {
    for (const path of [
      '/v2',
      '/metrics',
      '/v2/health/live',
      '/v2/models/tiny',
      '/v2/models/tiny/versions/1',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 401])
      for (const scheme of ['Bearer', 'bearer']) {
        expect([
          path,
          (await get(path, { authorization: `${scheme} a+secret/==` })).status,
        ]).toEqual([path, 200])
      }
    }
    expect((await get('/')).status).toBe(200)
    const refused = await get('/v2')
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
    expect(await refused.json()).toEqual({
      error: expect.stringMatching(/needs a token.*Authorization/),
    })
  })

  test('that is wrong is refused, whatever it looks like', async () => {
    for (const authorization of [
      'Bearer',
      'Bearer ',
      'Bearer a+secret/=',
      'Bearer a+secret/===',
      'Basic a+secret/==',
      'a+secret/==',
      `Bearer ${'x'.repeat(5000)}`,
    ]) {
      expect([authorization.slice(0, 30), (await get('/v2', { authorization })).status]).toEqual([
        authorization.slice(0, 30),
        401,
      ])
    }
    // A token in a URL is stored in histories and logs. Only sockets of pages need it.
    expect((await get('/v2?token=a%2Bsecret%2F%3D%3D')).status).toBe(401)
    expect((await get('/v2/models/tiny/stream?token=wrong')).status).toBe(401)
    expect((await get('/v2/models/tiny/stream?token=a%2Bsecret%2F%3D%3D')).status).toBe(426)
  })

  test('may be sent by pages of allowed origins', async () => {
    const preflight = await secured().request(infer, {
      method: 'OPTIONS',
      headers: { origin: 'http://page.example' },
    })
    expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([
      204,
      expect.stringContaining('Authorization'),
    ])
    const refused = await get('/v2', { origin: 'http://page.example' })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([
      401,
      'http://page.example',
    ])
  })
})

describe('behind a port', () => {
  let server: Listening | undefined
  afterEach(() => server?.close())

  test('WebSockets need a known host and the token', async () => {
    const limits = {
      maxBody: 1e6,
      timeout: 5000,
      onError: (error: unknown) => void unexpected.push(error),
    }
    server = await listen(appOf({ token: 'secret' }), { ...limits, host: '127.0.0.1', port: 0 })
    const address = `ws://127.0.0.1:${server.address.port}/v2/models/tiny/stream`
    const opened = (query: string, headers: Record<string, string>) =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(address + query, { headers })
        socket.on('unexpected-response', (_, { statusCode }) => resolve(statusCode!))
        socket.on('error', () => {})
        socket.on('open', () => {
          socket.terminate()
          resolve(101)
        })
      })
    expect(await opened('', {})).toBe(401)
    expect(await opened('?token=wrong', {})).toBe(401)
    expect(await opened('?token=secret', {})).toBe(101)
    expect(await opened('', { authorization: 'Bearer secret' })).toBe(101)
    expect(
      await opened('?token=secret', { host: 'evil.example', origin: 'http://evil.example' }),
    ).toBe(403)
  })

  test('a body that is declared too large is refused before it is sent', async () => {
    const limits = {
      maxBody: 1000,
      timeout: 5000,
      onError: (error: unknown) => void unexpected.push(error),
    }
    server = await listen(appOf(limits), { ...limits, host: '127.0.0.1', port: 0 })
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(server!.address.port, '127.0.0.1')
      socket.once('data', (data) => {
        socket.destroy()
        resolve(data.toString())
      })
      socket.write(
        `POST ${infer} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ` +
          '5000\r\n\r\n',
      )
    })
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe('readiness', () => {
  const requestJson = async (app: ReturnType<typeof appOf>, path: string) => {
    const response = await app.request(path)
    return { status: response.status, ...((await response.json()) as object) }
  }

  test('is false when the model cannot answer, and while the server ends', {
    tags: 'slow',
  }, async () => {
    const gone = await TRecViT.load(file('gone.npz', tinyNpz()), {
      device: 'wasm',
      deterministic: true,
    })
    const app = appOf({ models: new Map([['tiny', gone]]) })
    expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
    await gone.dispose()
    expect((await app.request(infer, post(body))).status).toBe(503)
    for (const path of [
      '/v2/health/ready',
      '/v2/models/tiny/ready',
      '/v2/models/tiny/versions/1/ready',
    ]) {
      expect(await requestJson(app, path)).toMatchObject({
        status: 503,
        ready: false,
        error: expect.any(String),
      })
    }
    expect(await requestJson(app, '/v2/health/live')).toEqual({ status: 200, live: true })
    expect(
      await requestJson(appOf({ closing: AbortSignal.abort() }), '/v2/health/ready'),
    ).toMatchObject({
      status: 503,
      ready: false,
      error: expect.stringMatching(/shut down/),
    })
  })

  test('comes back when a frame is computed again', async () => {
    let broken = true
    const lost = new TrecvitError('The device was lost')
    const spies = [
      vi.spyOn(sessionsOf(model), 'feed').mockImplementation(async function* () {
        if (broken) throw lost
        yield { logits: new Float32Array(3), probs: new Float32Array(3) }
      }),
      vi.spyOn(model, 'forward').mockImplementation(async () => {
        if (broken) throw lost
        return {} as ForwardResult
      }),
    ]
    const app = appOf()
    const refused = await app.request(infer, post(body))
    expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([
      503,
      '1',
      { error: 'The device was lost' },
    ])
    expect(await requestJson(app, '/v2/health/ready')).toEqual({
      status: 503,
      ready: false,
      error: 'The device was lost',
    })
    broken = false
    expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
    expect((await app.request(infer, post(body))).status).toBe(200)
    for (const spy of spies) spy.mockRestore()
  })

  test('a thread that dies costs no answer; threads that die again and again make the server ' +
    'unready until they work', { tags: 'slow' }, async () => {
    const workers = watchedWorkers()
    try {
      await using crashing = await TRecViT.load(file('mortal.npz', tinyNpz()), {
        device: 'wasm',
        deterministic: true,
        threads: 2,
      })
      const app = appOf({ models: new Map([['tiny', crashing]]) })
      const logits = async () =>
        outputsOf((await (await app.request(infer, post(body))).json()) as Record<string, unknown>)[
          'logits'
        ]
      const want = await logits()
      workers.kill('terminated')
      expect(await logits()).toEqual(want)
      expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
      expect(await (await app.request('/metrics')).text()).toMatch(
        /^trecvit_device_losses_total\{model="tiny"\} 1$/m,
      )

      workers.crashInRun(true)
      const refused = await app.request(infer, post(body))
      expect([refused.status, refused.headers.get('retry-after'), await refused.json()]).toEqual([
        503,
        '1',
        { error: expect.stringMatching(/CPU backend failed/) },
      ])
      expect(await requestJson(app, '/v2/health/ready')).toEqual({
        status: 503,
        ready: false,
        error: expect.stringMatching(/CPU backend failed/),
      })
      workers.crashInRun(false)
      expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
      expect(await logits()).toEqual(want)
    } finally {
      workers.restore()
    }
  })

  test('stays true after wrong input and closed connections', { tags: 'slow' }, async () => {
    const app = appOf()
    expect((await app.request(infer, post('{'))).status).toBe(400)
    const abort = new AbortController()
    const left = app.request(infer, {
      ...post(new Uint8Array(20_000 * FRAME), { 'Inference-Header-Content-Length': '0' }),
      signal: abort.signal,
    })
    setTimeout(() => abort.abort(), 50)
    await left
    let probes = 0
    const { forward } = model
    model.forward = (...args) => (probes++, forward.apply(model, args))
    expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
    model.forward = forward
    expect(probes).toBeLessThanOrEqual(1)
  })
})

test('metrics count requests, frames, and what waits, each server for itself', async () => {
  const app = appOf({ page: (_, next) => next() })
  const other = appOf()
  for (let i = 0; i < 3; i++)
    await app.request(infer, post(request([...noise(2 * FRAME)], [1, 2, 16, 16, 3])))
  await app.request(infer, post('{'))
  await app.request('/v2/secret-path-of-a-client')
  const answer = await app.request('/metrics')
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  const text = await answer.text()
  for (const line of [
    'trecvit_http_requests_total{method="POST",route="/v2/models/:name/infer",status="200"} 3',
    'trecvit_http_requests_total{method="POST",route="/v2/models/:name/infer",status="400"} 1',
    'trecvit_http_requests_total{method="GET",route="*",status="404"} 1',
    'trecvit_http_request_duration_seconds_count{route="/v2/models/:name/infer"} 4',
    'trecvit_frames_total{kind="infer",model="tiny"} 6',
    'trecvit_streams 0',
    'trecvit_device_losses_total{model="tiny"} 0',
    'trecvit_queue_depth{queue="requests"} 0',
    'trecvit_queue_depth{queue="tasks"} 0',
  ])
    expect(text.split('\n')).toContain(line)
  expect(text).toMatch(
    /^trecvit_device_info\{model="tiny",backend="wasm",kernels="\w+",threads="\d+"\} 1$/m,
  )
  expect(text).not.toContain('secret')
  expect(await (await other.request('/metrics')).text()).not.toContain('infer"')
})
