/** Bytes that are created when the message is written. So large fields are not stored twice. */
interface LazyBytes {
  readonly length: number
  make(): Uint8Array
}

/** Small fields are joined into chunks of about this many bytes. */
const CHUNK = 1 << 16

/** Encodes a Protocol Buffers message. Fields keep the order in which they are added. */
export class Message {
  readonly #parts: (Uint8Array | LazyBytes)[] = []
  #length = 0

  /** Length of the encoded message in bytes. */
  get length(): number {
    return this.#length
  }

  /** Adds an integer: int64 or enum. */
  int(field: number, value: number | bigint): this {
    return this.#add(varint(field << 3), varint(value))
  }

  /** Adds a float32. */
  float(field: number, value: number): this {
    return this.#add(varint((field << 3) | 5), new Uint8Array(new Float32Array([value]).buffer))
  }

  /** Adds bytes without copying them. */
  bytes(field: number, value: Uint8Array | LazyBytes): this {
    return this.#add(varint((field << 3) | 2), varint(value.length), value)
  }

  /** Adds text as UTF-8. */
  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value))
  }

  /** Adds a nested message. Fields that are added to it later are not included. */
  message(field: number, value: Message): this {
    return this.#add(varint((field << 3) | 2), varint(value.#length), ...value.#parts)
  }

  /** Yields the encoded message in order: chunks of about 64 KiB, or one large field. */
  *chunks(): Generator<Uint8Array> {
    let small: Uint8Array[] = []
    let bytes = 0
    for (const part of this.#parts) {
      if (part.length < CHUNK) {
        small.push(bytesOf(part))
        bytes += part.length
        if (bytes < CHUNK) continue
      }
      yield join(small, bytes)
      small = []
      bytes = 0
      if (part.length >= CHUNK) yield bytesOf(part)
    }
    yield join(small, bytes)
  }

  /** Returns the encoded message as one array. */
  encode(): Uint8Array {
    return join(this.chunks(), this.#length)
  }

  #add(...parts: (Uint8Array | LazyBytes)[]): this {
    for (const part of parts) {
      this.#parts.push(part)
      this.#length += part.length
    }
    return this
  }
}

function bytesOf(part: Uint8Array | LazyBytes): Uint8Array {
  return part instanceof Uint8Array ? part : part.make()
}

function join(parts: Iterable<Uint8Array>, length: number): Uint8Array {
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Encodes a base-128 varint, little-endian. Negative numbers are encoded modulo 2^64. */
function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}
