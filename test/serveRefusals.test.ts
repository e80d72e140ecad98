/** Requests that trecvit serve refuses, and the limits of valid requests. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { noise } from './commandLine.ts'
import { appOf, FRAME, infer, post, request, requestJson, useModel } from './serving.ts'

useModel()

describe('infer', () => {
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
      /768 bytes after its JSON, got 0/,
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
    expect(await requestJson(appOf(), infer, post(body, headers))).toEqual({
      status: 400,
      error: expect.stringMatching(error),
    })
  })

  test('any JSON, and any change of a good request, gets an answer or a sentence', {
    tags: 'slow',
  }, async () => {
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
    // Each field of a valid request, with its value replaced or removed.
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

  test('a finished request leaves no timer', async () => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const app = appOf()
    const before = timers()
    for (let i = 0; i < 20; i++) await requestJson(app, infer, post(i % 2 ? request(one) : {}))
    expect(timers()).toBeLessThan(before + 5)
  })

  test('limits: the body, the time, and how many at once', { tags: 'slow' }, async () => {
    const app = appOf({ maxBody: 5000 })
    expect(
      await requestJson(app, infer, post(new Uint8Array(5001), { 'content-length': '5001' })),
    ).toEqual({ status: 413, error: expect.stringMatching(/at most 5000 bytes, got 5001/) })
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1000)),
    })
    expect(
      await requestJson(app, infer, {
        method: 'POST',
        body: endless,
        duplex: 'half',
      } as RequestInit),
    ).toEqual({
      status: 413,
      error: expect.stringMatching(/at most 5000 bytes, got 6000 and more/),
    })

    const shortTimeout = appOf({ timeout: 200, maxStreams: 1, maxBody: 1e8 })
    const stalled = new ReadableStream({ pull: () => new Promise(() => {}) })
    expect(
      await requestJson(shortTimeout, infer, {
        method: 'POST',
        body: stalled,
        duplex: 'half',
      } as RequestInit),
    ).toEqual({ status: 408, error: expect.stringMatching(/within 0\.2 s/) })
    const long = post(new Uint8Array(60_000 * FRAME), { 'Inference-Header-Content-Length': '0' })
    const [first, second] = await Promise.all([
      requestJson(shortTimeout, infer, long),
      shortTimeout.request(infer, post(request(one))),
    ])
    expect(first).toEqual({ status: 504, error: expect.stringMatching(/longer than 0\.2 s/) })
    expect([second.status, second.headers.get('retry-after'), await second.json()]).toEqual([
      503,
      '1',
      { error: expect.stringMatching(/No place became free within 0\.1 s/) },
    ])
    // The largest number of waiting requests.
    const crowd = await Promise.all(
      [long, ...Array.from({ length: 300 }, () => post('{}'))].map((init) =>
        shortTimeout.request(infer, init),
      ),
    )
    const errors = await Promise.all(
      crowd.map(async (response) => ((await response.json()) as { error: string }).error),
    )
    expect(errors.filter((error) => /^256 requests wait already/.test(error)).length).toBe(44)
    // All slots are free again.
    expect((await requestJson(shortTimeout, infer, post(request(one)))).status).toBe(200)
  })
})
