/**
 * Tensors of the Open Inference Protocol v2: typed arrays to and from bytes (extension
 * binary_tensor_data) or JSON.
 */
import { TrecvitError } from '../base/error.ts'

/** A typed array that a tensor may have. */
export type TensorData =
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array

/** Number format of a tensor. FP16 and BF16 are bits in a Uint16Array, BOOL bytes of 0 and 1. */
export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64'
  | 'BYTES'

/** A tensor to send. */
export interface InputTensor {
  /** The values, row-major. Texts are sent as BYTES. */
  readonly data: TensorData | readonly string[]
  /** Sizes of the axes, the outermost first. */
  readonly shape: readonly number[]
  /** By default that of the array: UINT8 of a Uint8Array, FP32 of a Float32Array. */
  readonly datatype?: Datatype
}

/** A tensor that a server has sent. */
export interface OutputTensor {
  /** Number format of the values. */
  readonly datatype: Datatype
  /** Sizes of the axes, the outermost first. */
  readonly shape: readonly number[]
  /** The values, row-major; texts for BYTES. */
  readonly data: TensorData | string[]
}

/** A tensor in the JSON of a request or response. */
export interface TensorJson {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly data?: unknown
  readonly parameters?: { readonly binary_data_size?: number }
}

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

/** Datatypes without numbers in JSON: their arrays have the bits. */
const BITS: readonly Datatype[] = ['FP16', 'BF16']

/** An element of an array. */
type Value = number | bigint | string

/** Datatype by the name of the class of an array. */
const DATATYPES: Readonly<Record<string, Datatype>> = {
  Uint8Array: 'UINT8',
  Uint8ClampedArray: 'UINT8',
  Uint16Array: 'UINT16',
  Uint32Array: 'UINT32',
  BigUint64Array: 'UINT64',
  Int8Array: 'INT8',
  Int16Array: 'INT16',
  Int32Array: 'INT32',
  BigInt64Array: 'INT64',
  Float32Array: 'FP32',
  Float64Array: 'FP64',
}

/**
 * Encodes an input.
 * @param binary whether the values follow the JSON as bytes
 * @throws TrecvitError if it has another number of values than its shape, or another kind, or
 * values that JSON does not have and has to
 */
export function encodeTensor(
  name: string,
  { data, shape, datatype: wanted }: InputTensor,
  binary: boolean,
): { json: TensorJson; bytes: Uint8Array | null } {
  const kind = Object.prototype.toString.call(data).slice(8, -1)
  const datatype = wanted ?? (Array.isArray(data) ? 'BYTES' : DATATYPES[kind])
  const fits =
    datatype === 'BYTES'
      ? Array.isArray(data)
      : datatype !== undefined && ArrayBuffer.isView(data) && isOf(datatype, data)
  if (!fits)
    throw new TrecvitError(
      `Input "${name}" expected a typed array${wanted ? ` for ${wanted}` : ''}, or a list of ` +
        `texts for BYTES, got ${kind}`,
    )
  const size = sizeOf(shape)
  if (data.length !== size)
    throw new TrecvitError(
      `Input "${name}" expected ${size} values for shape [${shape}], got ${data.length}`,
    )
  const json = { name, datatype: datatype!, shape }
  if (!binary) {
    const values = Array.from(data as ArrayLike<Value>, (value) => toJson(name, datatype!, value))
    return { json: { ...json, data: values }, bytes: null }
  }
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : encodeTexts(data)
  return { json: { ...json, parameters: { binary_data_size: bytes.length } }, bytes }
}

/** Returns a value as JSON has it. */
function toJson(name: string, datatype: Datatype, value: Value): boolean | number | string {
  if (typeof value === 'string') return value
  if (datatype === 'BOOL') return value !== 0
  const number = Number(value)
  const isExact = typeof value === 'bigint' ? Number.isSafeInteger(number) : Number.isFinite(value)
  if (isExact && !BITS.includes(datatype)) return number
  throw new TrecvitError(
    `Input "${name}" expected values that JSON has, got ${datatype} ${value}; ` +
      'send bytes, without "binary: false"',
  )
}

/** Whether an array has elements of the size and kind of a datatype. */
function isOf(datatype: Exclude<Datatype, 'BYTES'>, data: ArrayBufferView): boolean {
  const kind = Object.prototype.toString.call(data).slice(8, -1).replace('Clamped', '')
  return ARRAYS[datatype]?.name === kind
}

/** Encodes texts, each after its length in four bytes, little-endian. */
function encodeTexts(texts: readonly string[]): Uint8Array {
  const parts = texts.map((text) => new TextEncoder().encode(text))
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + 4 + length, 0))
  const view = new DataView(all.buffer)
  let at = 0
  for (const part of parts) {
    view.setUint32(at, part.length, true)
    all.set(part, at + 4)
    at += 4 + part.length
  }
  return all
}

/**
 * Decodes the outputs of a response.
 * @param bytes what follows the JSON
 * @throws TrecvitError if a tensor has another size than its shape, or bytes are missing
 */
export function decodeTensors(
  tensors: readonly TensorJson[],
  bytes: Uint8Array,
): Record<string, OutputTensor> {
  let at = 0
  const outputs = tensors.map(({ name, datatype, shape, data, parameters }) => {
    const length = parameters?.binary_data_size
    const fail = (what: string): never => {
      throw new TrecvitError(`Output "${name}" of the server ${what}`)
    }
    if (datatype !== 'BYTES' && !(datatype in ARRAYS))
      fail(`has the datatype ${JSON.stringify(datatype)}, which this client does not know`)
    if (length === undefined) {
      const flat = (Array.isArray(data) ? data : []).flat(Infinity) as never[]
      if (flat.length !== sizeOf(shape))
        fail(`expected ${sizeOf(shape)} values for shape [${shape}], got ${flat.length}`)
      const values = fromJson(datatype, flat)
      if (!values) fail(`has ${datatype} values that JSON does not have; ask for bytes`)
      return [name, { datatype, shape, data: values! }] as const
    }
    if (at + length > bytes.length) fail(`expected ${length} bytes, got ${bytes.length - at}`)
    const part = bytes.slice(at, at + length)
    at += length
    const values =
      datatype === 'BYTES'
        ? decodeTexts(part)
        : length % ARRAYS[datatype].BYTES_PER_ELEMENT
          ? null
          : new ARRAYS[datatype](part.buffer)
    if (values?.length !== sizeOf(shape))
      fail(`expected ${sizeOf(shape)} values for shape [${shape}], got ${length} bytes`)
    return [name, { datatype, shape, data: values! }] as const
  })
  return Object.fromEntries(outputs)
}

/** Returns the values of a list in JSON; null if they are not exact there. */
function fromJson(datatype: Datatype, values: never[]): TensorData | string[] | null {
  if (datatype === 'BYTES') return values.map(String)
  if (datatype === 'INT64' || datatype === 'UINT64')
    return values.every(Number.isSafeInteger)
      ? ARRAYS[datatype].from(values.map((value) => BigInt(value)))
      : null
  const isKnown = (value: unknown): boolean => /^(number|boolean)$/.test(typeof value)
  return values.every(isKnown) && !BITS.includes(datatype) ? ARRAYS[datatype].from(values) : null
}

/** Decodes texts; null if a length points beyond the end. */
function decodeTexts(bytes: Uint8Array): string[] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at, true) : Infinity
    if (end > bytes.length) return null
    texts.push(new TextDecoder().decode(bytes.subarray(at + 4, end)))
    at = end
  }
  return texts
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}
