/**
 * A server of the Open Inference Protocol v2, written from its specification
 * (open-inference-protocol, "HTTP/REST") and from that of the extension binary_tensor_data. It
 * shares no code with the client or with `trecvit serve`, and is strict: it refuses what the
 * specifications do not allow.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How a server handles bytes. */
export type Binary =
  /** It has no extension. */
  | 'none'
  /** It takes bytes, and answers with JSON. */
  | 'inputs'
  /** It answers with JSON for BYTES, and with bytes for other datatypes. */
  | 'numbers'
  /** It answers as the request asks. */
  | 'all'

type Value = number | boolean | string
interface Tensor {
  readonly datatype: string
  readonly shape: number[]
  readonly values: Value[]
}
type Json = Record<string, unknown>

const HEADER = 'inference-header-content-length'
/** Bytes of an element, how to read it, and how to write it. */
const FORMATS: Record<
  string,
  [size: number, read: (b: Buffer, at: number) => Value, write: (b: Buffer, v: Value) => void]
> = {
  BOOL: [1, (b, at) => b.readUInt8(at) === 1, (b, v) => b.writeUInt8(v ? 1 : 0)],
  UINT8: [1, (b, at) => b.readUInt8(at), (b, v) => b.writeUInt8(v as number)],
  FP32: [4, (b, at) => b.readFloatLE(at), (b, v) => b.writeFloatLE(v as number)],
}

/** Error that the server answers with. */
class Refusal extends Error {
  readonly status: number

  constructor(message: string, status = 400) {
    super(message)
    this.status = status
  }
}

/** The model "mix", of which inputs and outputs have all kinds of datatypes. */
const MODEL = {
  name: 'mix',
  versions: ['3'],
  platform: 'numbers',
  inputs: [
    { name: 'pixels', datatype: 'UINT8', shape: [-1, 2] },
    { name: 'scale', datatype: 'FP32', shape: [1] },
    { name: 'names', datatype: 'BYTES', shape: [-1] },
    { name: 'mask', datatype: 'BOOL', shape: [-1] },
  ],
  outputs: [
    { name: 'scaled', datatype: 'FP32', shape: [-1, 2] },
    { name: 'greetings', datatype: 'BYTES', shape: [-1] },
    { name: 'rows', datatype: 'UINT8', shape: [1] },
    { name: 'unmasked', datatype: 'BOOL', shape: [-1] },
  ],
}

function compute(inputs: Map<string, Tensor>): Map<string, Tensor> {
  for (const { name, datatype } of MODEL.inputs)
    if (inputs.get(name)?.datatype !== datatype)
      throw new Refusal(`expected input ${name} with datatype ${datatype}`)
  const of = (name: string): Tensor => inputs.get(name)!
  const [pixels, names, mask] = [of('pixels'), of('names'), of('mask')]
  const [scale] = of('scale').values as number[]
  return new Map<string, Tensor>([
    [
      'scaled',
      { ...pixels, datatype: 'FP32', values: pixels.values.map((v) => Number(v) * scale!) },
    ],
    ['greetings', { ...names, values: names.values.map((v) => `hello ${v}`) }],
    ['rows', { datatype: 'UINT8', shape: [1], values: [pixels.shape[0]!] }],
    ['unmasked', { ...mask, values: mask.values.map((v) => !v) }],
  ])
}

/** Reads a body: JSON, and bytes after it if the header tells the length of the JSON. */
function parse(body: Buffer, length: string | undefined, binary: Binary): [Json, Buffer] {
  if (length === undefined) return [JSON.parse(body.toString()), Buffer.alloc(0)]
  if (binary === 'none') throw new Refusal('unexpected binary data')
  if (!/^[1-9]\d*$/.test(length)) throw new Refusal(`unexpected ${HEADER} ${length}`)
  const end = Number(length)
  if (end > body.length) throw new Refusal(`${HEADER} is beyond the body`)
  return [JSON.parse(body.toString('utf8', 0, end)), body.subarray(end)]
}

/** Reads an input. Returns it with the number of bytes that it takes. */
function readInput(input: Json, bytes: Buffer): [Tensor, number] {
  const { name, datatype, shape, data, parameters = {}, ...rest } = input as Record<string, any>
  if (Object.keys(rest).length) throw new Refusal(`unexpected ${Object.keys(rest)} of ${name}`)
  const count = (shape as number[]).reduce((product, side) => product * side, 1)
  const size = (parameters as Json)['binary_data_size']
  if ((size === undefined) === (data === undefined))
    throw new Refusal(`expected either data or binary_data_size for ${name}`)
  if (size === undefined) {
    const kinds: Record<string, string> = { BYTES: 'string', BOOL: 'boolean' }
    const values = (data as Value[]).flat(Infinity as 1) as Value[]
    if (values.length !== count) throw new Refusal(`unexpected number of values for ${name}`)
    if (values.some((value) => typeof value !== (kinds[datatype] ?? 'number')))
      throw new Refusal(`unexpected value for ${datatype} of ${name}`)
    return [{ datatype, shape, values }, 0]
  }
  const values: Value[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (datatype === 'BYTES') {
      const end = at + 4 + bytes.readUInt32LE(at)
      values.push(bytes.toString('utf8', at + 4, end))
      at = end
    } else {
      const [width, read] = FORMATS[datatype]!
      values.push(read(bytes, at))
      at += width
    }
  }
  if (at !== size) throw new Refusal(`expected ${at} bytes for ${name}, got ${size}`)
  return [{ datatype, shape, values }, at]
}

function bytesOf({ datatype, values }: Tensor): Buffer {
  const parts = values.map((value) => {
    const text = Buffer.from(datatype === 'BYTES' ? String(value) : '')
    const head = Buffer.alloc(datatype === 'BYTES' ? 4 : FORMATS[datatype]![0])
    if (datatype === 'BYTES') head.writeUInt32LE(text.length)
    else FORMATS[datatype]![2](head, value)
    return Buffer.concat([head, text])
  })
  return Buffer.concat(parts)
}

function infer(body: Buffer, headers: IncomingMessage['headers'], binary: Binary) {
  const length = headers[HEADER] as string | undefined
  if (Number(headers['content-length']) !== body.length) throw new Refusal('unexpected length')
  const type = length === undefined ? 'application/json' : 'application/octet-stream'
  if (headers['content-type'] !== type) throw new Refusal(`expected the type ${type}`)
  let [request, bytes] = parse(body, length, binary)
  const inputs = new Map<string, Tensor>()
  for (const input of request['inputs'] as Json[]) {
    const [tensor, used] = readInput(input, bytes)
    inputs.set(String(input['name']), tensor)
    bytes = bytes.subarray(used)
  }
  if (bytes.length) throw new Refusal(`unexpected ${bytes.length} bytes at the end`)

  const parameters = (request['parameters'] ?? {}) as Json
  const results = compute(inputs)
  const asked = (request['outputs'] ?? MODEL.outputs) as Json[]
  const parts: Buffer[] = []
  const outputs = asked.map((output) => {
    const name = String(output['name'])
    const tensor = results.get(name)
    if (!tensor) throw new Refusal(`unexpected output ${name}`)
    const own = (output['parameters'] as Json | undefined)?.['binary_data']
    const wanted = own ?? parameters['binary_data_output'] ?? false
    const { datatype, shape, values } = tensor
    const isBinary = wanted && (binary === 'all' || (binary === 'numbers' && datatype !== 'BYTES'))
    if (!isBinary) return { name, datatype, shape, data: values }
    const part = bytesOf(tensor)
    parts.push(part)
    return { name, datatype, shape, parameters: { binary_data_size: part.length } }
  })
  const { id } = request
  const response = { model_name: 'mix', model_version: '3', ...(id ? { id } : {}), outputs }
  return { json: Buffer.from(JSON.stringify(response)), parts }
}

/** Starts the server on loopback. Resolves with its address, and how to stop it. */
export async function serveOpenInference(binary: Binary): Promise<{ url: string; close(): void }> {
  const routes: Record<string, object> = {
    '/v2': {
      name: 'mix',
      version: '1',
      extensions: binary === 'none' ? [] : ['binary_tensor_data'],
    },
    '/v2/health/ready': { live: true },
    '/v2/models/mix': MODEL,
    '/v2/models/mix/versions/3': MODEL,
    '/v2/models/mix/ready': { name: 'mix', ready: true },
  }
  const server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = request.url ?? ''
    try {
      if (request.method === 'POST' && /^\/v2\/models\/mix(\/versions\/3)?\/infer$/.test(url)) {
        const { json, parts } = infer(Buffer.concat(chunks), request.headers, binary)
        if (parts.length) response.setHeader(HEADER, json.length)
        const type = parts.length ? 'application/octet-stream' : 'application/json'
        response.setHeader('Content-Type', type)
        response.end(Buffer.concat([json, ...parts]))
        return
      }
      const found = request.method === 'GET' && routes[url]
      if (!found) throw new Refusal(`unexpected ${request.method} of ${url}`, 404)
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify(found))
    } catch (error) {
      response.statusCode = error instanceof Refusal ? error.status : 500
      response.end(JSON.stringify({ error: (error as Error).message }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}
