import { describe, expect, test } from 'vitest'
import { openPage } from '../src/cli/serve/page.ts'
import { noise } from './commandLine.ts'
import { appOf, FRAME, infer, media, post, requestJson, useModel } from './serving.ts'

useModel()

describe('the protocol', () => {
  test('lists the server, models and health', async () => {
    const app = appOf()
    expect(await requestJson(app, '/v2')).toEqual({
      status: 200,
      name: 'trecvit',
      version: '1.2.3',
      extensions: ['binary_tensor_data'],
    })
    expect(await requestJson(app, '/v2/health/live')).toEqual({ status: 200, live: true })
    expect(await requestJson(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
    expect(await requestJson(app, '/v2/models/tiny/ready')).toEqual({
      status: 200,
      name: 'tiny',
      ready: true,
    })
    expect(await requestJson(app, '/v2/models/tiny')).toEqual({
      status: 200,
      name: 'tiny',
      platform: 'trecvit',
      inputs: [{ name: 'frames', datatype: 'UINT8', shape: [-1, -1, 16, 16, 3] }],
      outputs: [
        { name: 'logits', datatype: 'FP32', shape: [-1, 3] },
        { name: 'probs', datatype: 'FP32', shape: [-1, 3] },
        { name: 'labels', datatype: 'BYTES', shape: [-1, -1] },
      ],
    })
  })

  test('refuses unknown paths, with a sentence', async () => {
    const app = appOf()
    const cases: [path: string, init: RequestInit, status: number, error: RegExp][] = [
      ['/nothing', {}, 404, /nothing at \/nothing/],
      ['/v2/models/other', {}, 404, /no model "other".*"tiny"/],
      ['/v2/models/other/infer', post({}), 404, /"other"/],
      [infer, {}, 405, /expected POST, got GET/],
      ['/v2', { method: 'DELETE' }, 405, /GET/],
      ['/v2/models/tiny/stream', {}, 426, /WebSocket/],
      [infer, post({}, { origin: 'http://evil.example' }), 403, /evil\.example/],
      [infer, post({}, { origin: 'null' }), 403, /null/],
      [infer, post({}, { 'content-encoding': 'gzip' }), 415, /gzip/],
      [infer, post({}, { 'content-encoding': 'a\u009bb' }), 415, /"a\\u009bb"$/],
      [infer, post({}, { origin: 'http://a\u009bb' }), 403, /^[^\u009b]*\\u009b[^\u009b]*$/],
    ]
    for (const [path, init, status, error] of cases)
      expect(await requestJson(app, path, init)).toEqual({
        status,
        error: expect.stringMatching(error),
      })
    expect((await app.request(infer)).headers.get('allow')).toBe('POST')
  })

  test('paths may name the version, which is 1', async () => {
    const app = appOf()
    const versioned = '/v2/models/tiny/versions/1'
    expect(await requestJson(app, versioned)).toEqual(await requestJson(app, '/v2/models/tiny'))
    expect(await requestJson(app, `${versioned}/ready`)).toEqual({
      status: 200,
      name: 'tiny',
      ready: true,
    })
    const body = post(noise(FRAME), { 'Inference-Header-Content-Length': '0' })
    expect(await requestJson(app, `${versioned}/infer`, body)).toEqual(
      await requestJson(app, infer, body),
    )
    expect((await app.request(`${versioned}/infer`)).headers.get('allow')).toBe('POST')
    expect(await requestJson(app, `${versioned}/stream`)).toEqual({
      status: 426,
      error: expect.stringMatching(/WebSocket/),
    })
    for (const path of ['', '/ready', '/stream']) {
      expect(await requestJson(app, `/v2/models/tiny/versions/2${path}`)).toEqual({
        status: 404,
        error: expect.stringMatching(/no version of "tiny" "2"; this server has "1"/),
      })
      expect(await requestJson(app, `/v2/models/other/versions/1${path}`)).toEqual({
        status: 404,
        error: expect.stringMatching(/no model "other"/),
      })
    }
    expect(await requestJson(app, '/v2/models/tiny/versions/2/infer', body)).toMatchObject({
      status: 404,
    })
  })

  test('pages of allowed origins, and its own, may use it', async () => {
    const app = appOf({ origins: ['http://localhost:5173'] })
    const answer = await app.request('/v2', { headers: { origin: 'http://localhost:5173' } })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
      200,
      'http://localhost:5173',
    ])
    const preflight = await app.request(infer, {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:5173' },
    })
    expect([preflight.status, preflight.headers.get('access-control-allow-methods')]).toEqual([
      204,
      'GET, POST',
    ])
    expect(
      (await app.request('/v2', { headers: { origin: 'http://localhost:80', host: 'localhost' } }))
        .status,
    ).toBe(200)
    expect(
      (await app.request('/v2', { headers: { origin: 'http://localhost:81', host: 'localhost' } }))
        .status,
    ).toBe(403)
  })

  test('without a page "/" lists the routes; a page is served alone and isolated', async () => {
    expect(await (await appOf().request('/')).text()).toContain('POST /v2/models/tiny/infer')
    const app = appOf({ page: await openPage(new URL('media/', import.meta.url)) })
    const answer = await app.request('/odd.webm')
    expect(Buffer.from(await answer.arrayBuffer()).equals(media('odd.webm'))).toBe(true)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'content-type': 'video/webm',
    })
    for (const path of [
      '/serve.test.ts',
      '/../serve.test.ts',
      '/%2e%2e/serve.test.ts',
      '/..%2fserve.test.ts',
      '/..\\serve.test.ts',
      '/%00',
    ])
      expect((await app.request(path)).status).toBe(404)
    expect([
      (await app.request(infer)).status,
      (await app.request('/odd.webm', post({}))).status,
    ]).toEqual([405, 404])
  })
})
