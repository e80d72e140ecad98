import { describe, expect, test } from 'vitest'
import { noise } from './commandLine.ts'
import {
  appOf,
  expected,
  FRAME,
  infer,
  outputsOf,
  post,
  request,
  requestJson,
  useModel,
} from './serving.ts'

useModel()

describe('infer', () => {
  const frames = noise(5 * FRAME, 3)
  const floats = Float32Array.from(frames, (byte) => byte / 255)
  const shape = [1, 5, 16, 16, 3]

  test('answers as the library does: flat, nested, floats, two videos', {
    tags: 'slow',
  }, async () => {
    const app = appOf()
    const want = await expected(frames)
    const nested = (at: number, [side, ...rest]: number[]): unknown =>
      side === undefined
        ? frames[at]
        : Array.from({ length: side }, (_, i) =>
            nested(at + i * rest.reduce((a, b) => a * b, 1), rest),
          )
    for (const data of [[...frames], nested(0, shape)]) {
      const answer = await requestJson(app, infer, post(request(data, shape, { id: 'a' })))
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
    expect(
      outputsOf(await requestJson(app, infer, post(request([...floats], shape, {}, 'FP32')))),
    ).toEqual(await expected(floats))
    const other = noise(5 * FRAME, 4)
    const both = await requestJson(
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
      outputsOf(
        await requestJson(app, infer, post(frames, { 'Inference-Header-Content-Length': '0' })),
      ),
    ).toEqual(await expected(frames))
  })

  const one = [...noise(FRAME)]

  test('parameters for other servers are ignored; one that is misspelt is not', async () => {
    const app = appOf()
    const want = outputsOf(await requestJson(app, infer, post(request(one))))
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
    expect(outputsOf(await requestJson(app, infer, post(everywhere)))).toEqual({
      probs: want['probs'],
    })
    for (const parameters of [
      { top_k: 1 },
      { TOPK: 1 },
      { binaryDataOutput: true },
      { 'binary-data-output': true },
    ]) {
      expect(await requestJson(app, infer, post(request(one, undefined, { parameters })))).toEqual({
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
        await requestJson(app, infer, post(request(one), { 'content-encoding': coding })),
      ).toMatchObject({ status: 415 })
    }
  })
})
