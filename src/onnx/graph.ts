import { TrecvitError } from '../base/error.ts'
import { toHalves } from '../base/f16.ts'
import { sizeOf } from '../program/program.ts'
import { Message } from './protobuf.ts'

/** Value of a node's attribute: an integer, a string, a list of integers, or { float }. */
export type Attribute = number | string | readonly number[] | { readonly float: number }

/** Name of a tensor in a graph. */
export type Value = string

/** Number format of a constant. */
export type FloatType = 'f32' | 'f16'

/** A tensor with its shape. */
export interface Port {
  readonly name: Value
  readonly shape: readonly number[]
}

/** Description and metadata of a file. */
export interface Description {
  /** Free text. */
  readonly text: string
  /** Strings by name, which runtimes hand to the application. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Values of `TensorProto.DataType`. */
export const dataTypes = { f32: 1, i8: 3, i64: 7, f16: 10 } as const
/** IR version and operator set of ONNX 1.15 (onnxruntime 1.17 and later). */
const IR_VERSION = 9
const OPSET = 20
const ORT_DOMAIN = 'com.microsoft'
/** Largest message of Protocol Buffers: 2 GiB. */
const MOST_BYTES = 2 ** 31 - 1

/**
 * An ONNX model under construction: nodes in order of evaluation, and constants. Field numbers are
 * those of onnx.proto. Inputs and outputs of the model are float32.
 */
export class Graph {
  /** Prefix of the names of nodes. Applies to nodes that are added later. */
  scope = ''
  readonly inputs: Port[] = []
  readonly outputs: Port[] = []
  readonly #nodes: Message[] = []
  readonly #constants = new Map<string, Message>()
  /** Version of the operator set of each domain. */
  readonly #domains = new Map([['', OPSET]])
  readonly #used = new Map<string, number>()

  /** Adds a node and returns its first output. */
  node(
    op: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    return this.nodes(op, inputs, 1, attributes)[0]!
  }

  /** Adds a node with `count` outputs and returns these. */
  nodes(
    op: string,
    inputs: readonly Value[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value[] {
    const outputs = Array.from({ length: count }, () => this.#newName(`${this.scope}/${op}`))
    this.#addNode(op, inputs, outputs, attributes)
    return outputs
  }

  /** Adds an attention node of onnxruntime for q, k, v [frames, tokens, d], scaled by 1/√r. */
  multiHeadAttention(qkv: readonly Value[], heads: number): Value {
    const output = this.#newName(`${this.scope}/MultiHeadAttention`)
    this.#addNode('MultiHeadAttention', qkv, [output], { num_heads: heads }, ORT_DOMAIN)
    return output
  }

  /**
   * Returns the constant with this name. Adds it at the first call.
   * @param values called when the file is written
   */
  constant(
    name: Value,
    shape: readonly number[],
    values: () => Float32Array,
    type: FloatType = 'f32',
  ): Value {
    if (!this.#constants.has(name)) {
      const length = sizeOf(shape) * (type === 'f16' ? 2 : 4)
      const make = () => (type === 'f16' ? halvesOf(values()) : bytesOf(values()))
      this.#addConstant(name, shape, type, { length, make })
    }
    return name
  }

  /** Returns the constant of int8 with this name. Adds it at the first call. */
  int8(name: Value, shape: readonly number[], values: Int8Array): Value {
    if (!this.#constants.has(name)) this.#addConstant(name, shape, 'i8', bytesOf(values))
    return name
  }

  /** Adds a float32 constant of one value. */
  scalar(value: number): Value {
    return this.constant(`scalar ${value}`, [1], () => Float32Array.of(value))
  }

  /** Adds a constant list of int64: a shape, axes or indices. */
  integers(...values: readonly number[]): Value {
    const name = `integers ${values.join(' ')}`
    if (!this.#constants.has(name))
      this.#addConstant(name, [values.length], 'i64', bytesOf(BigInt64Array.from(values, BigInt)))
    return name
  }

  /** Adds an input of the model. */
  input(name: Value, shape: readonly number[]): Value {
    this.inputs.push({ name, shape })
    return name
  }

  /** Adds an output of the model. Its value is `from`. */
  output(name: Value, from: Value, shape: readonly number[]): void {
    this.outputs.push({ name, shape })
    this.#addNode('Identity', [from], [name], {})
  }

  /**
   * Encodes the model as a message: the contents of an .onnx file.
   * @throws TrecvitError if it is larger than 2 GiB
   */
  encode(
    producerVersion: string,
    { text, metadata }: Description = { text: '', metadata: {} },
  ): Message {
    const graph = new Message()
    for (const node of this.#nodes) graph.message(1, node)
    graph.string(2, 'trecvit')
    for (const constant of this.#constants.values()) graph.message(5, constant)
    for (const input of this.inputs) graph.message(11, valueInfo(input))
    for (const output of this.outputs) graph.message(12, valueInfo(output))
    const model = new Message()
      .int(1, IR_VERSION)
      .string(2, 'trecvit')
      .string(3, producerVersion)
      .string(6, text)
      .message(7, graph)
    for (const [domain, version] of this.#domains)
      model.message(8, new Message().string(1, domain).int(2, version))
    for (const [key, value] of Object.entries(metadata))
      model.message(14, new Message().string(1, key).string(2, value))
    if (model.length > MOST_BYTES)
      throw new TrecvitError(
        `The ONNX model has ${(model.length / 1e9).toFixed(1)} GB, ` +
          `expected at most ${(MOST_BYTES / 1e9).toFixed(1)} GB; use dtype f16`,
      )
    return model
  }

  #newName(stem: string): Value {
    const count = this.#used.get(stem) ?? 0
    this.#used.set(stem, count + 1)
    return count ? `${stem}_${count}` : stem
  }

  #addNode(
    op: string,
    inputs: readonly Value[],
    outputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>>,
    domain = '',
  ): void {
    if (domain) this.#domains.set(domain, 1)
    const node = new Message()
    for (const input of inputs) node.string(1, input)
    for (const output of outputs) node.string(2, output)
    node.string(3, outputs[0]!).string(4, op)
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value))
    if (domain) node.string(7, domain)
    this.#nodes.push(node)
  }

  #addConstant(
    name: Value,
    shape: readonly number[],
    type: keyof typeof dataTypes,
    data: Parameters<Message['bytes']>[1],
  ): void {
    const tensor = new Message()
    for (const side of shape) tensor.int(1, side)
    this.#constants.set(name, tensor.int(2, dataTypes[type]).string(8, name).bytes(9, data))
  }
}

function bytesOf(values: Float32Array | BigInt64Array | Int8Array): Uint8Array {
  const { buffer, byteOffset, byteLength } = values
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function halvesOf(values: Float32Array): Uint8Array {
  const halves = new Uint16Array(values.length)
  toHalves(values, halves)
  return new Uint8Array(halves.buffer)
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().string(1, name)
  if (typeof value === 'number') return message.int(3, value).int(20, 2)
  if (typeof value === 'string') return message.string(4, value).int(20, 3)
  if ('float' in value) return message.float(2, value.float).int(20, 1)
  for (const item of value) message.int(8, item)
  return message.int(20, 7)
}

function valueInfo({ name, shape }: Port): Message {
  const dimensions = new Message()
  for (const side of shape) dimensions.message(1, new Message().int(1, side))
  const tensor = new Message().int(1, dataTypes.f32).message(2, dimensions)
  return new Message().string(1, name).message(2, new Message().message(1, tensor))
}
