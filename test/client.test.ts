/** Client of the Open Inference Protocol, against the routes of the server. */
import { expect, test } from 'vitest'
import { Client, ResponseError, TrecvitError } from '../src/client/index.ts'
import { noise } from './commandLine.ts'
import { appOf, expected, FRAME, useModel } from './serving.ts'

useModel()

/** Returns a client whose requests go to the routes of a server. */
function clientOf(options: Parameters<typeof appOf>[0] = {}, token?: string): Client {
  const app = appOf(options)
  const send = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> =>
    app.request(new Request(input, init))
  return new Client('http://localhost/', { fetch: send, ...(token !== undefined && { token }) })
}

/** Returns a client of a server that sends this response to everything. */
function clientOfResponse(body: BodyInit, init: ResponseInit = {}): Client {
  return new Client('http://localhost', { fetch: async () => new Response(body, init) })
}

const shape = [1, 3, 16, 16, 3]
const data = noise(3 * FRAME)

test('sends tensors and receives typed arrays, in binary and as JSON', async () => {
  const client = clientOf()
  const want = await expected(data)
  for (const binary of [true, false]) {
    const { model, id, outputs } = await client.infer(
      'tiny',
      { frames: { data, shape } },
      { binary, id: 'a', parameters: { topK: 2 } },
    )
    expect([model, id]).toEqual(['tiny', 'a'])
    expect(outputs['logits']).toEqual({
      datatype: 'FP32',
      shape: [1, 3],
      data: Float32Array.from(want.logits),
    })
    expect(outputs['labels']!.data).toEqual(want.labels.slice(0, 2))
  }
  const floats = Float32Array.from(data, (byte) => byte / 255)
  const frames = { data: floats, shape }
  const { outputs } = await client.infer('tiny', { frames }, { outputs: ['probs'], version: '1' })
  expect(Object.keys(outputs)).toEqual(['probs'])
})

test('lists models, describes them and tells whether they are ready', async () => {
  const client = clientOf()
  expect(await client.ready()).toBe(true)
  expect(await client.ready('tiny')).toBe(true)
  expect(await client.ready('other')).toBe(false)
  expect(await client.models()).toEqual(['tiny'])
  expect((await client.metadata('tiny')).inputs).toEqual([
    { name: 'frames', datatype: 'UINT8', shape: [-1, -1, 16, 16, 3] },
  ])
  const lost = new Client('http://127.0.0.1:1')
  expect(await lost.ready()).toBe(false)
  await expect(lost.models()).rejects.toThrow(/^The server at http:\/\/127\.0\.0\.1:1 cannot be/)
})

test('a token is sent, and refusals are errors with the sentence of the server', async () => {
  await expect(clientOf({ token: 'secret' }, 'secret').models()).resolves.toEqual(['tiny'])
  const refused = await clientOf({ token: 'secret' })
    .models()
    .catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(ResponseError)
  expect(refused).toMatchObject({ status: 401, name: 'TrecvitError' })
  const frames = { data: new Uint8Array(5), shape: [1, 1, 1, 1, 5] }
  await expect(clientOf().infer('tiny', { frames })).rejects.toThrow(
    '"shape" of "frames" expected [b,t,16,16,3], got [1,1,1,1,5]',
  )
  const page = clientOfResponse('<h1>Bad gateway</h1>', { status: 502, statusText: 'Bad Gateway' })
  await expect(page.models()).rejects.toThrow(/the status 502 Bad Gateway$/)
  const kserve = clientOfResponse('{"detail":"Model x not found"}', { status: 404 })
  await expect(kserve.metadata('x')).rejects.toThrow('Model x not found')
})

test('an aborted request rejects with the reason', async () => {
  const stop = new AbortController()
  stop.abort(new Error('enough'))
  const client = new Client('http://127.0.0.1:1')
  const frames = { data, shape }
  await expect(client.infer('tiny', { frames }, { signal: stop.signal })).rejects.toThrow('enough')
})

test('inputs that do not fit are refused before they are sent', async () => {
  const client = clientOf()
  const send = (x: object) => client.infer('tiny', { x } as never)
  await expect(send({ data: new Uint8Array(3), shape: [4] })).rejects.toThrow(
    new TrecvitError('Input "x" expected 4 values for shape [4], got 3'),
  )
  await expect(send({ data: [1, 2], shape: [2], datatype: 'FP32' })).rejects.toThrow(
    'Input "x" expected a typed array for FP32, or a list of texts for BYTES, got Array',
  )
  await expect(send({ data: new DataView(new ArrayBuffer(4)), shape: [4] })).rejects.toThrow(
    /expected a typed array/,
  )
  expect(() => new Client('ftp://x')).toThrow(/"url" of a client expected an address/)
  expect(() => new Client('http://x', { tokn: '' } as never)).toThrow(/did you mean "token"/)
})

test('all datatypes arrive as they were sent', async () => {
  const tensors = {
    BOOL: Uint8Array.of(0, 1),
    UINT8: Uint8Array.of(0, 255),
    UINT16: Uint16Array.of(0, 65535),
    UINT32: Uint32Array.of(0, 4294967295),
    UINT64: BigUint64Array.of(0n, 2n ** 63n),
    INT8: Int8Array.of(-128, 127),
    INT16: Int16Array.of(-32768, 32767),
    INT32: Int32Array.of(-2147483648, 1),
    INT64: BigInt64Array.of(-(2n ** 60n), 1n),
    FP16: Uint16Array.of(0x3c00, 1),
    FP32: Float32Array.of(0.1, -1),
    FP64: Float64Array.of(0.1, -1),
    BYTES: ['ä', ''],
  }
  // A server that sends the inputs back as outputs.
  const echo = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const name = 'Inference-Header-Content-Length'
    const body = new Uint8Array(await new Response(init!.body).arrayBuffer())
    const split = Number(new Headers(init!.headers).get(name) ?? body.length)
    const { inputs } = JSON.parse(new TextDecoder().decode(body.subarray(0, split)))
    const json = new TextEncoder().encode(JSON.stringify({ outputs: inputs }))
    const headers = { [name]: String(json.length) }
    return new Response(new Blob([json, body.subarray(split)]), { headers })
  }
  const client = new Client('http://localhost', { fetch: echo as typeof fetch })
  const inputs = Object.fromEntries(
    Object.entries(tensors).map(([datatype, data]) => [datatype, { data, datatype, shape: [2] }]),
  )
  for (const binary of [true, false]) {
    // JSON has no integers beyond 2^53, and no half precision.
    const { UINT64: _, INT64: __, FP16: ___, ...exact } = inputs
    const sent = (binary ? inputs : exact) as never
    expect((await client.infer('echo', sent, { binary })).outputs).toEqual(sent)
  }
  for (const [datatype, data, shown] of [
    ['UINT64', BigUint64Array.of(2n ** 63n), '9223372036854775808'],
    ['FP16', Uint16Array.of(1), '1'],
    ['FP32', Float32Array.of(NaN), 'NaN'],
  ] as const)
    await expect(
      client.infer('echo', { x: { data, datatype, shape: [1] } }, { binary: false }),
    ).rejects.toThrow(`Input "x" expected values that JSON has, got ${datatype} ${shown}; send`)
})

test('responses that contradict themselves are refused', async () => {
  const name = 'Inference-Header-Content-Length'
  const answer = (outputs: unknown, bytes: number) => {
    const json = JSON.stringify({ outputs })
    const headers = { [name]: String(json.length) }
    const body = new Blob([json, new Uint8Array(bytes).fill(255)])
    return clientOfResponse(body, { headers }).infer('x', {})
  }
  const output = (datatype: string, rest: object) => [{ name: 'y', datatype, shape: [2], ...rest }]
  const size = (binary_data_size: number) => ({ parameters: { binary_data_size } })
  await expect(answer(output('FP32', size(8)), 4)).rejects.toThrow(/expected 8 bytes, got 4/)
  await expect(answer(output('FP32', size(6)), 6)).rejects.toThrow(/expected 2 values .* 6 bytes/)
  await expect(answer(output('BYTES', size(6)), 6)).rejects.toThrow(/expected 2 values .* 6 bytes/)
  await expect(answer(output('FP8', { data: [1, 2] }), 0)).rejects.toThrow(/datatype "FP8"/)
  await expect(answer(output('FP32', { data: [1] }), 0)).rejects.toThrow(/got 1$/)
  for (const [datatype, value] of [
    ['FP32', null],
    ['FP16', 1.5],
    ['INT64', 2 ** 53],
  ] as const)
    await expect(answer(output(datatype, { data: [1, value] }), 0)).rejects.toThrow(
      `Output "y" of the server has ${datatype} values that JSON does not have; ask for bytes`,
    )
  await expect(clientOfResponse('no').infer('x', {})).rejects.toThrow(/with JSON, got 2 bytes/)
})
