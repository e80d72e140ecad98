/** The routes of trecvit serve, without a socket. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openPage } from '../src/cli/serve/page.ts'
import { noise } from './commandLine.ts'
import { appOf, expected, FRAME, infer, media, outputsOf, post, request } from './serving.ts'

/** An answer: its status, and what stands in its JSON. */
async function ask(
  app: ReturnType<typeof appOf>,
  path: string,
  init?: RequestInit,
): Promise<Record<string, any>> {
  const response = await app.request(path, init)
  return { status: response.status, ...(await response.json()) }
}

describe('the protocol', () => {
  test('says what is there', async () => {
    const app = appOf()
    expect(await ask(app, '/v2')).toEqual({
      status: 200,
      name: 'trecvit',
      version: '1.2.3',
      extensions: ['binary_tensor_data'],
    })
    expect(await ask(app, '/v2/health/live')).toEqual({ status: 200, live: true })
    expect(await ask(app, '/v2/health/ready')).toEqual({ status: 200, ready: true })
    expect(await ask(app, '/v2/models/tiny/ready')).toEqual({
      status: 200,
      name: 'tiny',
      ready: true,
    })
    expect(await ask(app, '/v2/models/tiny')).toEqual({
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

  test('refuses what is not there, with a sentence', async () => {
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
      expect(await ask(app, path, init)).toEqual({ status, error: expect.stringMatching(error) })
    expect((await app.request(infer)).headers.get('allow')).toBe('POST')
  })

  test('paths may name the version, which is 1', async () => {
    const app = appOf()
    const versioned = '/v2/models/tiny/versions/1'
    expect(await ask(app, versioned)).toEqual(await ask(app, '/v2/models/tiny'))
    expect(await ask(app, `${versioned}/ready`)).toEqual({ status: 200, name: 'tiny', ready: true })
    const body = post(noise(FRAME), { 'Inference-Header-Content-Length': '0' })
    expect(await ask(app, `${versioned}/infer`, body)).toEqual(await ask(app, infer, body))
    expect((await app.request(`${versioned}/infer`)).headers.get('allow')).toBe('POST')
    expect(await ask(app, `${versioned}/stream`)).toEqual({
      status: 426,
      error: expect.stringMatching(/WebSocket/),
    })
    for (const path of ['', '/ready', '/stream']) {
      expect(await ask(app, `/v2/models/tiny/versions/2${path}`)).toEqual({
        status: 404,
        error: expect.stringMatching(/no version of "tiny" "2"; this server has "1"/),
      })
      expect(await ask(app, `/v2/models/other/versions/1${path}`)).toEqual({
        status: 404,
        error: expect.stringMatching(/no model "other"/),
      })
    }
    expect(await ask(app, '/v2/models/tiny/versions/2/infer', body)).toMatchObject({ status: 404 })
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

describe('infer', () => {
  const frames = noise(5 * FRAME, 3)
  const floats = Float32Array.from(frames, (byte) => byte / 255)
  const shape = [1, 5, 16, 16, 3]

  test('answers as the library does: flat, nested, floats, two videos', async () => {
    const app = appOf()
    const want = await expected(frames)
    const nested = (at: number, [side, ...rest]: number[]): unknown =>
      side === undefined
        ? frames[at]
        : Array.from({ length: side }, (_, i) =>
            nested(at + i * rest.reduce((a, b) => a * b, 1), rest),
          )
    for (const data of [[...frames], nested(0, shape)]) {
      const answer = await ask(app, infer, post(request(data, shape, { id: 'a' })))
      expect(answer).toMatchObject({
        status: 200,
        model_name: 'tiny',
        id: 'a',
        outputs: [
          { name: 'logits', datatype: 'FP32', shape: [1, 3] },
          { name: 'probs', shape: [1, 3] },
          { name: 'labels', datatype: 'BYTES', shape: [1, 3] },
        ],
      })
      expect(outputsOf(answer)).toEqual(want)
    }
    expect(outputsOf(await ask(app, infer, post(request([...floats], shape, {}, 'FP32'))))).toEqual(
      await expected(floats),
    )
    const other = noise(5 * FRAME, 4)
    const both = await ask(
      app,
      infer,
      post(
        request([...frames, ...other], [2, 5, 16, 16, 3], {
          parameters: { topK: 1 },
          outputs: [{ name: 'labels' }, { name: 'logits' }],
        }),
      ),
    )
    const second = await expected(other)
    expect(both['outputs']).toEqual([
      {
        name: 'labels',
        datatype: 'BYTES',
        shape: [2, 1],
        data: [want.labels[0], second.labels[0]],
      },
      { name: 'logits', datatype: 'FP32', shape: [2, 3], data: [...want.logits, ...second.logits] },
    ])
  })

  test('takes and gives bytes behind the JSON, and bytes alone', async () => {
    const app = appOf()
    const want = await expected(floats)
    const json = JSON.stringify({
      inputs: [
        {
          name: 'frames',
          shape,
          datatype: 'FP32',
          parameters: { binary_data_size: floats.byteLength },
        },
      ],
      outputs: [
        { name: 'labels' },
        { name: 'probs', parameters: { binary_data: false } },
        { name: 'logits' },
      ],
      parameters: { binary_data_output: true },
    })
    const answer = await app.request(
      infer,
      post(Buffer.concat([Buffer.from(json), Buffer.from(floats.buffer)]), {
        'Inference-Header-Content-Length': String(json.length),
      }),
    )
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'application/octet-stream',
    ])
    const bytes = Buffer.from(await answer.arrayBuffer())
    const split = Number(answer.headers.get('inference-header-content-length'))
    const {
      outputs: [labels, probs, logits],
    } = JSON.parse(bytes.subarray(0, split).toString())
    expect(probs.data).toEqual(want.probs)
    expect(labels).toEqual({
      name: 'labels',
      datatype: 'BYTES',
      shape: [1, 3],
      parameters: { binary_data_size: 12 + 'onetwothree'.length },
    })
    expect(logits).toEqual({
      name: 'logits',
      datatype: 'FP32',
      shape: [1, 3],
      parameters: { binary_data_size: 12 },
    })
    const strings = want.labels.flatMap((label) => [
      Uint8Array.of(label!.length, 0, 0, 0),
      Buffer.from(label!),
    ])
    expect(
      bytes
        .subarray(split)
        .equals(Buffer.concat([...strings, Buffer.from(Float32Array.from(want.logits).buffer)])),
    ).toBe(true)

    expect(
      outputsOf(await ask(app, infer, post(frames, { 'Inference-Header-Content-Length': '0' }))),
    ).toEqual(await expected(frames))
  })

  const binary = (size: unknown, more: object = {}) => ({
    inputs: [
      {
        name: 'frames',
        shape: [1, 1, 16, 16, 3],
        datatype: 'UINT8',
        parameters: { binary_data_size: size },
        ...more,
      },
    ],
  })
  const one = [...noise(FRAME)]
  test.each<[string, unknown, RegExp, Record<string, string>?]>([
    ['nothing', '', /JSON, got 0 bytes/],
    ['no JSON', '{"inputs":', /The body expected JSON/],
    ['no UTF-8', Uint8Array.of(34, 255, 34), /The body expected JSON/],
    ['a list', [], /The body expected a JSON object, got a list of 0/],
    ['no input', {}, /"inputs" expected a list of one tensor.*got none/],
    ['two inputs', { inputs: [{}, {}] }, /got 2 of them/],
    ['an input that is null', { inputs: [null] }, /The input expected a JSON object, got null/],
    ['another name', { inputs: [{ name: 'video' }] }, /"frames", got "video"/],
    ['another datatype', request(one, undefined, {}, 'INT64'), /"UINT8" or "FP32", got "INT64"/],
    ['a long datatype', request(one, undefined, {}, 'x'.repeat(5000)), /^.{0,250}$/],
    [
      'no shape',
      { inputs: [{ name: 'frames', datatype: 'UINT8' }] },
      /"shape".*\[b,t,16,16,3\], got none/,
    ],
    ['four sides', request(one, [1, 16, 16, 3]), /\[b,t,16,16,3\], got \[1,16,16,3\]/],
    ['no frames', request([], [1, 0, 16, 16, 3]), /got \[1,0,16,16,3\]/],
    ['another size', request(one, [1, 1, 8, 32, 3]), /got \[1,1,8,32,3\]/],
    ['sides that are lists', request(one, [1, 1, [16], '16', 3]), /got \[1,1,a list of 1,"16",3\]/],
    ['sides that are halves', request(one, [1, 1.5, 16, 16, 3]), /got \[1,1.5,16,16,3\]/],
    [
      'more frames than can be',
      request(one, [1e9, 1e9, 16, 16, 3]),
      /768000000000000000000 numbers .*, got 768/,
    ],
    [
      'more frames than can be, nested',
      request([[]], [1, 1e9, 16, 16, 3]),
      /768000000000 numbers .* bytes of JSON/,
    ],
    ['too few numbers', request(one.slice(1)), /768 numbers for shape \[1,1,16,16,3\], got 767/],
    ['too many numbers', request([...one, 1]), /768 numbers .*, got 769/],
    [
      'a short row',
      request([[[...Array(15).fill(Array(16).fill([0, 0, 0])), Array(16).fill([0, 0])]]]),
      /a list of 3 at value 720, got a list of 2/,
    ],
    [
      'a number for a row',
      request([[Array(16).fill(300)]], undefined, { id: 'x'.repeat(700) }),
      /a list of 16 at value 0, got 300/,
    ],
    ['256 in a byte', request([256, ...one.slice(1)]), /0 to 255 at value 0, got 256/],
    ['a half in a byte', request([...one.slice(1), 0.5]), /0 to 255 at value 767, got 0\.5/],
    ['text in a byte', request([...one.slice(1), '7']), /got "7"/],
    [
      'bytes as floats',
      request(
        one.map(() => 200),
        undefined,
        {},
        'FP32',
      ),
      /0 to 1, got 200 at value 0; send 0 to 255 as UINT8/,
    ],
    ['no data', request(undefined), /a list of 768 numbers, got none/],
    ['a number as id', request(one, undefined, { id: 7 }), /"id" expected a string, got 7/],
    [
      'unknown parameters',
      request(one, undefined, { parameters: { topk: 3 } }),
      /"topK".*got "topk"/,
    ],
    ['topK 0', request(one, undefined, { parameters: { topK: 0 } }), /1 to 3, got 0/],
    ['topK 4', request(one, undefined, { parameters: { topK: 4 } }), /1 to 3, got 4/],
    [
      'an unknown output',
      request(one, undefined, { outputs: [{ name: 'prob' }] }),
      /"logits", "probs", "labels", got "prob"/,
    ],
    [
      'many outputs',
      request(one, undefined, { outputs: Array(4).fill({ name: 'probs' }) }),
      /at most 3 tensors, got 4/,
    ],
    [
      'bytes and data',
      binary(FRAME, { data: one }),
      /either "data" or "binary_data_size", got both/,
    ],
    ['a wrong size of bytes', binary(767), /expected 768 .*, got 767/],
    [
      'no bytes behind',
      { ...binary(FRAME), padding: 'x'.repeat(FRAME) },
      /768 bytes behind its JSON, got 0/,
    ],
    [
      'a wrong length of JSON',
      '{}',
      /up to the 2 of the body, got "3"/,
      { 'Inference-Header-Content-Length': '3' },
    ],
    [
      'no length of JSON',
      '{}',
      /up to the 2 of the body, got "-1"/,
      { 'Inference-Header-Content-Length': '-1' },
    ],
    [
      'part of a frame',
      new Uint8Array(FRAME + 1),
      /whole frames of \[16,16,3\].*got 769/,
      { 'Inference-Header-Content-Length': '0' },
    ],
    ['no frame', new Uint8Array(0), /got 0 bytes/, { 'Inference-Header-Content-Length': '0' }],
  ])('refuses %s', async (_, body, error, headers) => {
    expect(await ask(appOf(), infer, post(body, headers))).toEqual({
      status: 400,
      error: expect.stringMatching(error),
    })
  })

  test('parameters for other servers are ignored; one that is misspelt is not', async () => {
    const app = appOf()
    const want = outputsOf(await ask(app, infer, post(request(one))))
    const odd = {
      timeout: 1_000_000,
      priority: 1,
      sequence_id: 7,
      sequence_start: true,
      sequence_end: false,
      content_type: 'np',
      headers: { x: 'y' },
      constructor: null,
      __proto__: 1,
    }
    const everywhere = request(one, undefined, {
      parameters: odd,
      model_name: 'tiny',
      outputs: [{ name: 'probs', parameters: { classification: 2 } }],
    })
    Object.assign(everywhere.inputs[0]!, { parameters: { content_type: 'np' } })
    expect(outputsOf(await ask(app, infer, post(everywhere)))).toEqual({ probs: want['probs'] })
    for (const parameters of [
      { top_k: 1 },
      { TOPK: 1 },
      { binaryDataOutput: true },
      { 'binary-data-output': true },
    ]) {
      expect(await ask(app, infer, post(request(one, undefined, { parameters })))).toEqual({
        status: 400,
        error: expect.stringMatching(/"parameters" expected "(topK|binary_data_output)", got/),
      })
    }
  })

  test('the coding of a body that is no coding may be spelt in any way', async () => {
    const app = appOf()
    for (const coding of ['Identity', 'IDENTITY', ' identity ']) {
      expect(
        (await app.request(infer, post(request(one), { 'content-encoding': coding }))).status,
      ).toBe(200)
    }
    for (const coding of ['GZIP', 'deflate', 'identity, gzip', 'x']) {
      expect(
        await ask(app, infer, post(request(one), { 'content-encoding': coding })),
      ).toMatchObject({ status: 415 })
    }
  })

  test('any JSON, and any change of a good request, gets an answer or a sentence', async () => {
    const app = appOf()
    const good = request([...one], undefined, {
      id: 'x',
      parameters: { topK: 2 },
      outputs: [{ name: 'probs', parameters: { binary_data: false } }],
    })
    const answered = async (body: string | Uint8Array, headers?: Record<string, string>) => {
      const response = await app.request(infer, post(body, headers))
      if (response.status !== 200)
        expect({ status: response.status, ...(await response.json()) }).toEqual({
          status: 400,
          error: expect.stringMatching(/^("|The |An ).+$/),
        })
    }
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(
        1e308,
        -0,
        2 ** 53,
        { constructor: 1, toString: 2, length: 5 },
        Array(9).fill([]),
      ),
    )
    // The places of a good request, each with what stands there replaced or taken away.
    const places = [
      'id',
      'parameters',
      'parameters.topK',
      'inputs',
      'inputs.0',
      'inputs.0.name',
      'inputs.0.shape',
      'inputs.0.shape.0',
      'inputs.0.shape.2',
      'inputs.0.datatype',
      'inputs.0.parameters',
      'inputs.0.parameters.binary_data_size',
      'inputs.0.data',
      'inputs.0.data.5',
      'outputs',
      'outputs.0',
      'outputs.0.name',
      'outputs.0.parameters',
      'outputs.0.parameters.binary_data',
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.option(value, { nil: undefined }),
        async (place, replacement) => {
          const copy = structuredClone({ ...good, inputs: [{ ...good.inputs[0], parameters: {} }] })
          const keys = place.split('.')
          const parent = keys.slice(0, -1).reduce((at: any, key) => at[key], copy)
          parent[keys.at(-1)!] = replacement
          await answered(JSON.stringify(copy))
        },
      ),
      { numRuns: 300 },
    )
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => answered(text)),
      { numRuns: 200 },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 2000 }),
        fc.option(fc.string(), { nil: undefined }),
        async (bytes, length) => {
          await answered(
            bytes,
            length === undefined || !/^[\x20-\x7e]*$/.test(length)
              ? {}
              : { 'Inference-Header-Content-Length': length },
          )
        },
      ),
      { numRuns: 200 },
    )
    await answered(`${'['.repeat(400_000)}${']'.repeat(400_000)}`)
    await answered(
      '{"inputs":[{"name":"frames","datatype":"UINT8",' +
        `"shape":${'['.repeat(200_000)}${']'.repeat(200_000)}}]}`,
    )
  })

  test('a request leaves nothing behind that waits for its time', async () => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const app = appOf()
    const before = timers()
    for (let i = 0; i < 20; i++) await ask(app, infer, post(i % 2 ? request(one) : {}))
    expect(timers()).toBeLessThan(before + 5)
  })

  test('limits: the body, the time, and how many at once', async () => {
    const app = appOf({ maxBody: 5000 })
    expect(await ask(app, infer, post(new Uint8Array(5001), { 'content-length': '5001' }))).toEqual(
      { status: 413, error: expect.stringMatching(/at most 5000 bytes, got 5001/) },
    )
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1000)),
    })
    expect(
      await ask(app, infer, { method: 'POST', body: endless, duplex: 'half' } as RequestInit),
    ).toEqual({
      status: 413,
      error: expect.stringMatching(/at most 5000 bytes, got 6000 and more/),
    })

    const hurried = appOf({ timeout: 200, maxStreams: 1, maxBody: 1e8 })
    const stuck = new ReadableStream({ pull: () => new Promise(() => {}) })
    expect(
      await ask(hurried, infer, { method: 'POST', body: stuck, duplex: 'half' } as RequestInit),
    ).toEqual({ status: 408, error: expect.stringMatching(/within 0\.2 s/) })
    const long = post(new Uint8Array(60_000 * FRAME), { 'Inference-Header-Content-Length': '0' })
    const [first, second] = await Promise.all([
      ask(hurried, infer, long),
      hurried.request(infer, post(request(one))),
    ])
    expect(first).toEqual({ status: 504, error: expect.stringMatching(/longer than 0\.2 s/) })
    expect([second.status, second.headers.get('retry-after'), await second.json()]).toEqual([
      503,
      '1',
      { error: expect.stringMatching(/No place became free within 0\.1 s/) },
    ])
    // So many wait at most.
    const crowd = await Promise.all(
      [long, ...Array.from({ length: 300 }, () => post('{}'))].map((init) =>
        hurried.request(infer, init),
      ),
    )
    const errors = await Promise.all(
      crowd.map(async (response) => ((await response.json()) as { error: string }).error),
    )
    expect(errors.filter((error) => /^256 requests wait already/.test(error)).length).toBe(44)
    // All places are free again.
    expect((await ask(hurried, infer, post(request(one)))).status).toBe(200)
  })
})
