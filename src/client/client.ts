import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import type { WebSocketClass } from './connection.ts'
import type { ModelMetadata } from './metadata.ts'
import { checkStreamOptions, type RemoteStreamOptions, TIMEOUT } from './options.ts'
import { ResponseError, send, type Target } from './request.ts'
import { RemoteStream } from './stream.ts'
import {
  decodeTensors,
  encodeTensor,
  type InputTensor,
  type OutputTensor,
  type TensorJson,
} from './tensors.ts'

/** Options of a client. */
export interface ClientOptions {
  /** Bearer token of the server. */
  readonly token?: string
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: typeof fetch
  /** Class of the sockets of streams; the global `WebSocket` by default, which Node 20 lacks. */
  readonly WebSocket?: WebSocketClass
}

/** Options of one inference request. */
export interface InferOptions {
  /** Names of the outputs to send; all by default. */
  readonly outputs?: readonly string[]
  /** Parameters of the request, like `{ topK: 3 }` or `{ sequence_id: 'a' }`. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  /** Identifies the request in the response. */
  readonly id?: string
  /** Version of the model; the server chooses by default. */
  readonly version?: string
  /**
   * Whether tensors are sent as bytes (extension binary_tensor_data), by default true. As JSON they
   * take about four times the bytes, and there is no FP16 or NaN. Set it to false for a server
   * without the extension.
   */
  readonly binary?: boolean
  /** Aborts the request. */
  readonly signal?: AbortSignal
}

/** Outputs of a model. */
export interface InferResult {
  /** Name of the model. */
  readonly model: string
  /** The id of the request. */
  readonly id: string | undefined
  /** What else the server tells; for a stream with an id its number of frames. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** The tensors by their names. */
  readonly outputs: Readonly<Record<string, OutputTensor>>
}

/** Header with the length of the JSON in a body where tensors follow. */
const JSON_LENGTH = 'Inference-Header-Content-Length'
/** Statuses that another attempt would get again. */
const REFUSALS = [400, 401, 403, 404]

/**
 * A client of the Open Inference Protocol v2, which `trecvit serve`, Triton, KServe and OpenVINO
 * Model Server speak. It has no dependency, and runs in browsers, Node, Deno and Bun.
 * @example
 * import { Client } from 'trecvit/client'
 * const client = new Client('http://127.0.0.1:8000')
 * const frames = { data: new Uint8Array(8 * 96 * 96 * 3), shape: [1, 8, 96, 96, 3] }
 * const { outputs } = await client.infer('builtin', { frames }, { outputs: ['labels'] })
 * console.log(outputs.labels.data)
 */
export class Client {
  readonly #target: Target
  readonly #WebSocket: WebSocketClass | undefined

  /**
   * @param url address of the server, like "http://127.0.0.1:8000"; a path before "/v2" is kept
   * @throws TrecvitError if the address is none of http: or https:, or an option is unknown
   */
  constructor(url: string | URL, options: ClientOptions = {}) {
    checkOptions('Client', options, { token: 1, fetch: 1, WebSocket: 1 })
    const { token, fetch: given, WebSocket } = options
    this.#WebSocket = WebSocket
    const address = URL.canParse(url) ? new URL(url) : null
    if (!address || !/^https?:$/.test(address.protocol))
      throw new TrecvitError(
        `"url" of a client expected an address like http://127.0.0.1:8000, got "${url}"`,
      )
    const base = address.origin + address.pathname.replace(/\/+$/, '')
    // Called as a function: browsers refuse `fetch` as a method of another object.
    this.#target = { base, token, fetch: given ?? ((...request) => globalThis.fetch(...request)) }
  }

  /**
   * Returns whether the server, or one of its models, can answer now. False if the server cannot be
   * reached.
   */
  async ready(model?: string): Promise<boolean> {
    const path = model === undefined ? '/v2/health/ready' : `${pathOf(model)}/ready`
    try {
      await (await send(this.#target, path)).body?.cancel()
      return true
    } catch (error) {
      if (error instanceof TrecvitError) return false
      throw error
    }
  }

  /**
   * Returns the names of the models. For `trecvit serve` and KServe: the protocol has no list.
   * @throws TrecvitError if the server cannot be reached or refuses
   */
  async models(): Promise<string[]> {
    const response = await send(this.#target, '/v2/models')
    return ((await response.json()) as { models: string[] }).models
  }

  /**
   * Returns the inputs and outputs of a model.
   * @throws TrecvitError if the server has no such model, or cannot be reached
   */
  async metadata(model: string): Promise<ModelMetadata> {
    return (await send(this.#target, pathOf(model))).json() as Promise<ModelMetadata>
  }

  /**
   * Runs a model once.
   * @param inputs tensors by their names, as `metadata` lists them
   * @throws ResponseError with the sentence of the server, if it refuses
   * @throws TrecvitError if an input has another size than its shape or no form in JSON, or the
   * server cannot be reached
   * @throws the reason of the signal, if it is aborted
   */
  async infer(
    model: string,
    inputs: Readonly<Record<string, InputTensor>>,
    options: InferOptions = {},
  ): Promise<InferResult> {
    checkOptions('infer', options, {
      outputs: 1,
      parameters: 1,
      id: 1,
      version: 1,
      binary: 1,
      signal: 1,
    })
    const { outputs, parameters = {}, id, version, binary = true, signal } = options
    const tensors = Object.entries(inputs).map(([name, one]) => encodeTensor(name, one, binary))
    const request = {
      ...(id !== undefined && { id }),
      inputs: tensors.map(({ json }) => json),
      ...(outputs && {
        outputs: outputs.map((name) => ({ name, parameters: { binary_data: binary } })),
      }),
      parameters: { ...(binary && !outputs && { binary_data_output: true }), ...parameters },
    }
    const json = new TextEncoder().encode(JSON.stringify(request))
    const parts = tensors.flatMap(({ bytes }) => (bytes ? [bytes] : []))
    const response = await send(this.#target, `${pathOf(model, version)}/infer`, {
      method: 'POST',
      body: new Blob([json, ...parts] as BlobPart[]),
      headers: parts.length
        ? { 'Content-Type': 'application/octet-stream', [JSON_LENGTH]: String(json.length) }
        : { 'Content-Type': 'application/json' },
      signal: signal ?? null,
    })
    return resultOf(response)
  }

  /**
   * Opens a stream at `trecvit serve`. It reconnects by itself, also to another server behind the
   * same address.
   * @throws TrecvitError if an option is wrong, or this runtime has no WebSocket
   * @example
   * const stream = client.openStream('builtin', { sequenceId: 'cam-7', width: 96, height: 96 })
   * for await (const { frame, label } of stream.run(frames)) console.log(frame, label)
   * await stream.end()
   */
  openStream(model: string, options: RemoteStreamOptions): RemoteStream {
    checkStreamOptions(options)
    const { base, token } = this.#target
    const WebSocket = this.#WebSocket ?? (globalThis.WebSocket as WebSocketClass | undefined)
    if (!WebSocket)
      throw new TrecvitError(
        'This runtime has no WebSocket; pass one, like that of the package "ws": ' +
          'new Client(url, { WebSocket })',
      )
    const url = new URL(`${base}${pathOf(model)}/stream`)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    // A page cannot set headers of a WebSocket.
    if (token !== undefined) url.searchParams.set('token', token)
    return new RemoteStream(options, {
      open: () => new WebSocket(url.href),
      probe: () => this.#refusalOf(model, options.timeout ?? TIMEOUT),
    })
  }

  /**
   * Returns why the server refuses this client, or null: a WebSocket does not tell it.
   * @param timeout milliseconds for the answer
   */
  async #refusalOf(model: string, timeout: number): Promise<string | null> {
    try {
      const signal = AbortSignal.timeout(timeout)
      await (await send(this.#target, pathOf(model), { signal })).body?.cancel()
    } catch (error) {
      if (error instanceof ResponseError && REFUSALS.includes(error.status)) return error.message
    }
    return null
  }
}

function pathOf(model: string, version?: string): string {
  const path = `/v2/models/${encodeURIComponent(model)}`
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`
}

/** @throws TrecvitError if the body is not one of the protocol */
async function resultOf(response: Response): Promise<InferResult> {
  const body = new Uint8Array(await response.arrayBuffer())
  const split = Number(response.headers.get(JSON_LENGTH) ?? body.length)
  let answer: { model_name?: string; id?: string; parameters?: object; outputs?: TensorJson[] }
  try {
    answer = JSON.parse(new TextDecoder().decode(body.subarray(0, split)))
  } catch (cause) {
    throw new TrecvitError(
      `The server expected to answer ${response.url} with JSON, got ${body.length} bytes`,
      { cause },
    )
  }
  const { model_name: model = '', id, parameters = {}, outputs = [] } = answer
  const tensors = decodeTensors(outputs, body.subarray(split))
  return { model, id, parameters: { ...parameters }, outputs: tensors }
}
