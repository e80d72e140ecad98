/**
 * The client against another server of the Open Inference Protocol v2, over HTTP. Triton, KServe
 * and OpenVINO Model Server cannot be installed from npm or Debian, so the server is written from
 * the specifications (openInference.ts). What they do beside them is not tested here.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, type InputTensor, ResponseError } from '../src/client/index.ts'
import { type Binary, serveOpenInference } from './openInference.ts'

const inputs = {
  pixels: { data: Uint8Array.of(0, 255, 3, 4), shape: [2, 2] },
  scale: { data: Float32Array.of(0.1), shape: [1] },
  names: { data: ['Ä', '', 'Zoë'], shape: [3] },
  mask: { data: Uint8Array.of(1, 0), datatype: 'BOOL', shape: [2] },
} satisfies Record<string, InputTensor>
const scaled = {
  datatype: 'FP32',
  shape: [2, 2],
  data: Float32Array.of(0, 255, 3, 4).map((value) => value * Math.fround(0.1)),
}
const outputs = {
  scaled,
  greetings: { datatype: 'BYTES', shape: [3], data: ['hello Ä', 'hello ', 'hello Zoë'] },
  rows: { datatype: 'UINT8', shape: [1], data: Uint8Array.of(2) },
  unmasked: { datatype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) },
}

describe.each<Binary>(['all', 'numbers', 'inputs', 'none'])('a server with bytes: %s', (binary) => {
  let server: Awaited<ReturnType<typeof serveOpenInference>>
  let client: Client
  beforeAll(async () => {
    server = await serveOpenInference(binary)
    client = new Client(server.url)
  })
  afterAll(() => server.close())

  test('takes tensors as JSON', async () => {
    const {
      model,
      id,
      outputs: got,
    } = await client.infer('mix', inputs, {
      ...{ binary: false, id: 'a' },
    })
    expect({ model, id, got }).toEqual({ model: 'mix', id: 'a', got: outputs })
    const chosen = { binary: false, outputs: ['rows', 'scaled'], version: '3' }
    const some = await client.infer('mix', inputs, chosen)
    expect(Object.entries(some.outputs)).toEqual([
      ['rows', outputs.rows],
      ['scaled', scaled],
    ])
  })

  if (binary !== 'none')
    test('takes tensors as bytes', async () => {
      expect((await client.infer('mix', inputs)).outputs).toEqual(outputs)
      const some = await client.infer('mix', inputs, { outputs: ['unmasked', 'greetings', 'rows'] })
      const { scaled: _, ...rest } = outputs
      expect(some.outputs).toEqual(rest)
    })

  test('is described, and refuses with a sentence', async () => {
    expect(await Promise.all([client.ready(), client.ready('mix'), client.ready('x')])).toEqual([
      true,
      true,
      false,
    ])
    const metadata = await client.metadata('mix')
    expect(metadata.versions).toEqual(['3'])
    expect(metadata.outputs[0]).toEqual({ name: 'scaled', datatype: 'FP32', shape: [-1, 2] })
    const { mask: _, ...few } = inputs
    const refused = await client
      .infer('mix', few, { binary: binary !== 'none' })
      .catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(ResponseError)
    expect(refused).toMatchObject({
      status: 400,
      message: 'expected input mask with datatype BOOL',
    })
    const bytes = client.infer('mix', inputs, { binary: true })
    if (binary === 'none') await expect(bytes).rejects.toThrow('unexpected binary data')
    await expect(client.infer('none', {})).rejects.toThrow('unexpected POST of /v2/models/none/in')
  })
})
