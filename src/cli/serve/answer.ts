/**
 * Open Inference Protocol v2: encodes the response to an inference request. Tensors are JSON. With
 * the extension binary_tensor_data they are bytes after the JSON.
 */
import type { OutputName } from './tensors.ts'

/** One tensor of a response. */
export type OutputTensor = {
  readonly name: OutputName
  readonly binary: boolean
  readonly shape: readonly number[]
} & (
  | { readonly datatype: 'FP32'; readonly data: Float32Array }
  | { readonly datatype: 'BYTES'; readonly data: readonly string[] }
)

/**
 * Returns the body of a response. If bytes follow the JSON, also returns the length of the JSON.
 * @param parameters of the response
 */
export function encodeInfer(
  model: string,
  id: string | undefined,
  tensors: readonly OutputTensor[],
  parameters?: Readonly<Record<string, unknown>>,
): { body: Uint8Array<ArrayBuffer>; jsonLength: number | null } {
  const parts: Uint8Array[] = []
  const outputs = tensors.map(({ name, binary, shape, datatype, data }) => {
    if (!binary) return { name, datatype, shape, data: [...data] }
    const bytes =
      datatype === 'FP32'
        ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
        : encodeStrings(data)
    parts.push(bytes)
    return { name, datatype, shape, parameters: { binary_data_size: bytes.length } }
  })
  const json = new TextEncoder().encode(
    JSON.stringify({ model_name: model, id, parameters, outputs }),
  )
  return { body: concat([json, ...parts]), jsonLength: parts.length ? json.length : null }
}

/** Encodes strings, each after its length in four bytes, little-endian. */
function encodeStrings(strings: readonly string[]): Uint8Array {
  return concat(
    strings.flatMap((string) => {
      const bytes = new TextEncoder().encode(string)
      return [new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes]
    }),
  )
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
