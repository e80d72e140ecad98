/**
 * Open Inference Protocol v2: parses an inference request. Tensors are JSON. With the extension
 * binary_tensor_data they are bytes after the JSON.
 */
import { checkPixels, type NdArray } from '../../base/array.ts'
import { TrecvitError } from '../../base/error.ts'
import type { Config } from '../../model/config.ts'
import { sizeOf } from '../../program/program.ts'
import { isInteger, type Json, parseJson, recordOf, shown } from './json.ts'
import { readSequence } from './opening.ts'
import type { SequenceRequest } from './sequences/request.ts'

/** Header with the length of the JSON in a body where tensors follow. */
export const JSON_LENGTH = 'Inference-Header-Content-Length'

/** Names of the outputs of a model. */
export const outputNames = ['logits', 'probs', 'labels'] as const

/** Name of an output. */
export type OutputName = (typeof outputNames)[number]

/** A checked request. */
export interface InferRequest {
  readonly id: string | undefined
  /** [b, t, H, W, 3] */
  readonly frames: NdArray
  /** Number of labels per video. */
  readonly topK: number
  /** Outputs in the requested order. */
  readonly outputs: readonly { readonly name: OutputName; readonly binary: boolean }[]
  /** The stream that the frames start or continue; null for none. */
  readonly sequence: SequenceRequest | null
}

/**
 * Parses the body of a request.
 * @param jsonLength value of the header JSON_LENGTH, if sent. With "0" the body contains only the
 * frames of one video, as bytes
 * @throws TrecvitError with the field, the expected value and the actual value
 */
export function parseInfer(
  body: Uint8Array,
  jsonLength: string | undefined,
  { imageSize: [height, width], numClasses }: Config,
): InferRequest {
  const split = jsonLength === undefined ? body.length : Number(jsonLength)
  if (!(/^\d+$/.test(jsonLength ?? '0') && split <= body.length)) {
    throw new TrecvitError(
      `"${JSON_LENGTH}" expected a number of bytes up to the ${body.length} of the body, ` +
        `got ${shown(jsonLength)}`,
    )
  }
  const frame = [height, width, 3]
  if (jsonLength !== undefined && split === 0) {
    const t = body.length / sizeOf(frame)
    if (!(t >= 1 && Number.isInteger(t)))
      throw new TrecvitError(
        `The body expected whole frames of [${frame}] bytes, which are ${sizeOf(frame)}, ` +
          `got ${body.length} bytes`,
      )
    return {
      id: undefined,
      frames: { data: body, shape: [1, t, ...frame] },
      topK: Math.min(5, numClasses),
      outputs: outputNames.map((name) => ({ name, binary: false })),
      sequence: null,
    }
  }

  const request = recordOf(parseJson(body.subarray(0, split), 'The body'), 'The body')
  const { inputs } = request
  const id = request['id'] ?? undefined
  if (id !== undefined && typeof id !== 'string')
    throw new TrecvitError(`"id" expected a string, got ${shown(id)}`)
  const parameters = recordOf(request['parameters'] ?? {}, '"parameters"')
  checkNames(parameters)
  const { topK = Math.min(5, numClasses), binary_data_output: binary = false } = parameters
  if (!isInteger(topK, 1, numClasses))
    throw new TrecvitError(`"topK" expected an integer from 1 to ${numClasses}, got ${shown(topK)}`)
  if (typeof binary !== 'boolean')
    throw new TrecvitError(`"binary_data_output" expected true or false, got ${shown(binary)}`)
  if (!Array.isArray(inputs) || inputs.length !== 1)
    throw new TrecvitError(
      '"inputs" expected a list of one tensor, "frames", ' +
        `got ${Array.isArray(inputs) ? `${inputs.length} of them` : shown(inputs)}`,
    )
  const frames = framesOf(recordOf(inputs[0], 'The input'), frame, body, split)
  return {
    id,
    frames,
    topK,
    outputs: outputsOf(request['outputs'] ?? [], binary),
    sequence: sequenceOf(parameters, frames),
  }
}

function sequenceOf(parameters: Json, { shape }: NdArray): SequenceRequest | null {
  const {
    sequence_id: id,
    sequence_key: key,
    sequence_start: start,
    sequence_end: end = false,
  } = parameters
  const asked = readSequence(id, key, start)
  if (typeof end !== 'boolean')
    throw new TrecvitError(`"sequence_end" expected true or false, got ${shown(end)}`)
  if (asked && shape[0] !== 1)
    throw new TrecvitError(`A request with "sequence_id" expected one video, got ${shape[0]}`)
  return asked && { ...asked, end }
}

/** Supported parameters of a request. */
const PARAMETERS = [
  'topK',
  'binary_data_output',
  'sequence_id',
  'sequence_key',
  'sequence_start',
  'sequence_end',
]

/**
 * Checks the names of parameters. Parameters for other servers (timeout, priority) are
 * ignored. A name that is almost one of this server is treated as a typing error.
 */
function checkNames(parameters: Json): void {
  const bare = (name: string) => name.replaceAll(/[_-]/g, '').toLowerCase()
  for (const name of Object.keys(parameters)) {
    const similar = PARAMETERS.find((known) => known !== name && bare(known) === bare(name))
    if (similar !== undefined)
      throw new TrecvitError(`"parameters" expected "${similar}", got ${shown(name)}`)
  }
}

function framesOf(
  { name, shape, datatype, parameters, data }: Json,
  frame: readonly number[],
  body: Uint8Array,
  split: number,
): NdArray {
  if (name !== 'frames')
    throw new TrecvitError(`The input expected the name "frames", got ${shown(name)}`)
  if (datatype !== 'UINT8' && datatype !== 'FP32')
    throw new TrecvitError(
      `"datatype" of "frames" expected "UINT8" or "FP32", got ${shown(datatype)}`,
    )
  if (!isShape(shape, frame))
    throw new TrecvitError(
      `"shape" of "frames" expected [b,t,${frame}], got ` +
        `${Array.isArray(shape) && shape.length <= 8 ? `[${shape.map(shown)}]` : shown(shape)}`,
    )
  const size = sizeOf(shape)
  const { binary_data_size: bytes } = recordOf(parameters ?? {}, '"parameters" of "frames"')
  // Before memory is allocated, check that the values were sent: as bytes, as a flat list, or as a
  // nested list, in which each number takes at least a byte.
  const behind = body.length - split
  if (bytes !== undefined) {
    const want = datatype === 'UINT8' ? size : 4 * size
    if (data !== undefined)
      throw new TrecvitError('"frames" expected either "data" or "binary_data_size", got both')
    if (bytes !== want)
      throw new TrecvitError(
        `"binary_data_size" of "frames" expected ${want} for ${datatype} [${shape}], ` +
          `got ${shown(bytes)}`,
      )
    if (behind !== bytes)
      throw new TrecvitError(`The body expected ${bytes} bytes after its JSON, got ${behind}`)
  } else {
    if (!Array.isArray(data))
      throw new TrecvitError(
        `"data" of "frames" expected a list of ${size} numbers, got ${shown(data)}`,
      )
    if (behind !== 0)
      throw new TrecvitError(`The body expected nothing after its JSON, got ${behind} bytes`)
    if (!Array.isArray(data[0]) ? data.length !== size : size > split)
      throw new TrecvitError(
        `"data" of "frames" expected ${size} numbers for shape [${shape}], ` +
          `got ${Array.isArray(data[0]) ? `${split} bytes of JSON` : data.length}`,
      )
  }
  const values = datatype === 'UINT8' ? new Uint8Array(size) : new Float32Array(size)
  if (bytes !== undefined) new Uint8Array(values.buffer).set(body.subarray(split))
  // A flat list, or one nested like the shape.
  else fill(values, data, Array.isArray((data as unknown[])[0]) ? shape : [size], 0)
  checkPixels('frames', values, 'send 0 to 255 as UINT8')
  return { data: values, shape }
}

function isShape(value: unknown, frame: readonly number[]): value is number[] {
  return (
    Array.isArray(value) &&
    value.length === 5 &&
    value.every((side, axis) => (axis < 2 ? isInteger(side, 1) : side === frame[axis - 2]))
  )
}

/** Copies a list of this shape to the values from index `at` on. */
function fill(
  values: Uint8Array | Float32Array,
  list: unknown,
  shape: readonly number[],
  at: number,
): void {
  const [length, ...rest] = shape
  if (!Array.isArray(list) || list.length !== length)
    throw new TrecvitError(
      `"data" of "frames" expected a list of ${length} at value ${at}, got ${shown(list)}`,
    )
  if (rest.length) {
    const size = sizeOf(rest)
    for (let i = 0; i < length; i++) fill(values, list[i], rest, at + i * size)
    return
  }
  const isByte = values instanceof Uint8Array
  for (let i = 0; i < length; i++) {
    const value: unknown = list[i]
    if (typeof value !== 'number' || (isByte && !isInteger(value, 0, 255)))
      throw new TrecvitError(
        '"data" of "frames" expected ' +
          `${isByte ? 'an integer from 0 to 255' : 'a number from 0 to 1'} at value ` +
          `${at + i}, got ${shown(value)}`,
      )
    values[at + i] = value
  }
}

function outputsOf(outputs: unknown, binary: boolean): InferRequest['outputs'] {
  if (!Array.isArray(outputs))
    throw new TrecvitError(`"outputs" expected a list of tensors, got ${shown(outputs)}`)
  if (outputs.length > outputNames.length)
    throw new TrecvitError(
      `"outputs" expected at most ${outputNames.length} tensors, got ${outputs.length}`,
    )
  const requested = outputs.map((output) => {
    const { name, parameters } = recordOf(output, 'An output')
    const known = outputNames.find((one) => one === name)
    if (!known)
      throw new TrecvitError(
        'An output expected one of the names ' +
          `${outputNames.map((one) => `"${one}"`).join(', ')}, got ${shown(name)}`,
      )
    const { binary_data: own = binary } = recordOf(parameters ?? {}, `"parameters" of "${known}"`)
    if (typeof own !== 'boolean')
      throw new TrecvitError(
        `"binary_data" of "${known}" expected true or false, got ${shown(own)}`,
      )
    return { name: known, binary: own }
  })
  return requested.length ? requested : outputNames.map((name) => ({ name, binary }))
}
