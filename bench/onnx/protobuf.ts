/**
 * Protocol buffers, the writing half: fields of a message in the order in which they are added.
 * Large fields are kept as they are until the end, so that half a gigabyte of weights is copied
 * once.
 */
export class Message {
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  /** A whole number: int64 or enum. */
  int(field: number, value: number | bigint): this {
    return this.#add(varint(field << 3), varint(value))
  }

  /** float32. */
  float(field: number, value: number): this {
    return this.#add(varint((field << 3) | 5), new Uint8Array(new Float32Array([value]).buffer))
  }

  /** Bytes as they are; not copied, so not to be changed before `encode`. */
  bytes(field: number, value: Uint8Array): this {
    return this.#add(varint((field << 3) | 2), varint(value.length), value)
  }

  /** Text in UTF-8. */
  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value))
  }

  /** Another message, as it stands now. */
  message(field: number, value: Message): this {
    return this.#add(varint((field << 3) | 2), varint(value.#bytes), ...value.#parts)
  }

  /** The message as it stands in a file. */
  encode(): Uint8Array {
    const all = new Uint8Array(this.#bytes)
    let at = 0
    for (const part of this.#parts) {
      all.set(part, at)
      at += part.length
    }
    return all
  }

  #add(...parts: Uint8Array[]): this {
    this.#parts.push(...parts)
    this.#bytes += parts.reduce((sum, part) => sum + part.length, 0)
    return this
  }
}

/**
 * Seven bits a byte, lowest first; the top bit says that more follow. Negative numbers are taken
 * modulo 2^64.
 */
function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}
