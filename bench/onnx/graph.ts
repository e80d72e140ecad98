import { Message } from './protobuf.ts'

/** Values of attributes: whole numbers, text, lists of whole numbers, or { float }. */
export type Attribute = number | string | readonly number[] | { readonly float: number }

/** Name of a value in a graph. */
export type Value = string

/** Field numbers of onnx.proto. */
const FLOAT = 1
const INT64 = 7
const IR_VERSION = 10
const OPSET = 20

/**
 * An ONNX model under construction: nodes in order, each with one output or several, and constants.
 * Field numbers are those of onnx.proto; everything is float32 but shapes and indices.
 */
export class Graph {
  readonly #graph = new Message()
  #values = 0

  /** A node; its first output. */
  node(
    op: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Value {
    return this.nodes(op, inputs, 1, attributes, domain)[0]!
  }

  /** A node with several outputs. An input or output that is left out has the name ''. */
  nodes(
    op: string,
    inputs: readonly Value[],
    outputs: number | readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
    domain = '',
  ): Value[] {
    const names =
      typeof outputs === 'number'
        ? Array.from({ length: outputs }, () => this.#name(op))
        : [...outputs]
    const node = new Message()
    for (const input of inputs) node.string(1, input)
    for (const output of names) node.string(2, output)
    node.string(3, names[0]!).string(4, op)
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value))
    if (domain) node.string(7, domain)
    this.#graph.message(1, node)
    return names
  }

  /** A float32 constant. */
  constant(values: Float32Array, shape: readonly number[]): Value {
    const name = this.#name('constant')
    const tensor = new Message()
    for (const side of shape) tensor.int(1, side)
    this.#graph.message(
      5,
      tensor
        .int(2, FLOAT)
        .string(8, name)
        .bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
    )
    return name
  }

  /** A list of int64: a shape, axes, indices. */
  integers(...values: readonly number[]): Value {
    const name = this.#name('integers')
    const data = BigInt64Array.from(values, BigInt)
    this.#graph.message(
      5,
      new Message()
        .int(1, values.length)
        .int(2, INT64)
        .string(8, name)
        .bytes(9, new Uint8Array(data.buffer)),
    )
    return name
  }

  /** A float32 input of the model. */
  input(name: Value, shape: readonly number[]): Value {
    this.#graph.message(11, valueInfo(name, shape))
    return name
  }

  /** Makes a value an output of the model. */
  output(name: Value, shape: readonly number[]): Value {
    this.#graph.message(12, valueInfo(name, shape))
    return name
  }

  /** The model as an .onnx file. */
  encode(): Uint8Array {
    const operators = (domain: string, version: number) =>
      new Message().string(1, domain).int(2, version)
    return new Message()
      .int(1, IR_VERSION)
      .string(2, 'trecvit')
      .message(7, this.#graph.string(2, 'step'))
      .message(8, operators('', OPSET))
      .message(8, operators('com.microsoft', 1))
      .encode()
  }

  #name(stem: string): Value {
    return `${stem}_${this.#values++}`
  }
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().string(1, name)
  if (typeof value === 'number') return message.int(3, value).int(20, 2)
  if (typeof value === 'string') return message.string(4, value).int(20, 3)
  if ('float' in value) return message.float(2, value.float).int(20, 1)
  for (const item of value) message.int(8, item)
  return message.int(20, 7)
}

function valueInfo(name: string, shape: readonly number[]): Message {
  const dimensions = new Message()
  for (const side of shape) dimensions.message(1, new Message().int(1, side))
  return new Message()
    .string(1, name)
    .message(2, new Message().message(1, new Message().int(1, FLOAT).message(2, dimensions)))
}
