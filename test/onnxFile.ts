/** Parses .onnx files: the fields of onnx.proto that src/onnx writes. */

export interface OnnxTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** `TensorProto.DataType`: 1 float32, 7 int64, 10 float16. */
  readonly type: number
  readonly data: Uint8Array
}

export interface OnnxNode {
  readonly name: string
  readonly op: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

export interface OnnxFile {
  readonly irVersion: number
  readonly producer: string
  readonly text: string
  /** Version of the operator set of each domain. */
  readonly opsets: Readonly<Record<string, number>>
  readonly metadata: Readonly<Record<string, string>>
  readonly nodes: readonly OnnxNode[]
  readonly constants: readonly OnnxTensor[]
  readonly inputs: Readonly<Record<string, readonly number[]>>
  readonly outputs: Readonly<Record<string, readonly number[]>>
}

/** Values of a message by field number, in the order of the file: integers, or bytes. */
type Fields = ReadonlyMap<number, readonly (number | Uint8Array)[]>

function fieldsOf(bytes: Uint8Array): Fields {
  const fields = new Map<number, (number | Uint8Array)[]>()
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('The file ends within a number')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, value))
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const kind = tag & 7
    let value: number | Uint8Array
    if (kind === 0) value = varint()
    else {
      const length = kind === 2 ? varint() : 4
      if ((kind !== 2 && kind !== 5) || at + length > bytes.length)
        throw new Error(`Field ${tag >> 3} at byte ${at} is damaged`)
      value = bytes.subarray(at, (at += length))
    }
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value])
  }
  return fields
}

const bytesIn = (fields: Fields, field: number) => (fields.get(field) ?? []) as Uint8Array[]
const numbersIn = (fields: Fields, field: number) => (fields.get(field) ?? []) as number[]
const textsIn = (fields: Fields, field: number) =>
  bytesIn(fields, field).map((bytes) => new TextDecoder().decode(bytes))
const textIn = (fields: Fields, field: number) => textsIn(fields, field)[0] ?? ''
const messagesIn = (fields: Fields, field: number) => bytesIn(fields, field).map(fieldsOf)

/** Parses an .onnx file. */
export function readOnnx(bytes: Uint8Array): OnnxFile {
  const model = fieldsOf(bytes)
  const [graph] = messagesIn(model, 7) as [Fields]
  const shapesIn = (field: number) =>
    Object.fromEntries(
      messagesIn(graph, field).map((info) => {
        const tensor = messagesIn(messagesIn(info, 2)[0]!, 1)[0]!
        const sides = messagesIn(messagesIn(tensor, 2)[0]!, 1)
        return [textIn(info, 1), sides.map((side) => numbersIn(side, 1)[0]!)]
      }),
    )
  return {
    irVersion: numbersIn(model, 1)[0]!,
    producer: textIn(model, 2),
    text: textIn(model, 6),
    opsets: Object.fromEntries(
      messagesIn(model, 8).map((opset) => [textIn(opset, 1), numbersIn(opset, 2)[0]!]),
    ),
    metadata: Object.fromEntries(
      messagesIn(model, 14).map((entry) => [textIn(entry, 1), textIn(entry, 2)]),
    ),
    nodes: messagesIn(graph, 1).map((node) => ({
      name: textIn(node, 3),
      op: textIn(node, 4),
      domain: textIn(node, 7),
      inputs: textsIn(node, 1),
      outputs: textsIn(node, 2),
    })),
    constants: messagesIn(graph, 5).map((tensor) => ({
      name: textIn(tensor, 8),
      shape: numbersIn(tensor, 1),
      type: numbersIn(tensor, 2)[0]!,
      data: bytesIn(tensor, 9)[0] ?? new Uint8Array(0),
    })),
    inputs: shapesIn(11),
    outputs: shapesIn(12),
  }
}
