/**
 * Detects kinds of values, whichever realm created them. `instanceof` knows only the classes of its
 * own realm. Values from iframes, node:vm and jsdom belong to other realms.
 */

/** Returns the name of the built-in class of a value: "Uint8Array", "Blob", "Object". */
export function classOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/**
 * Returns the bytes of a Uint8Array, Uint8ClampedArray, Buffer or ArrayBuffer as a Uint8Array of
 * this realm. Shares memory with the value. Returns undefined for anything else.
 */
export function asBytes(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value
  if (classOf(value) === 'ArrayBuffer') return new Uint8Array(value as ArrayBuffer)
  if (!ArrayBuffer.isView(value) || !/^Uint8(Clamped)?Array$/.test(classOf(value))) return undefined
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

/** Returns a Float32Array of this realm over the memory of one of any realm, or undefined. */
export function asFloats(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value
  if (!ArrayBuffer.isView(value) || classOf(value) !== 'Float32Array') return undefined
  return new Float32Array(value.buffer, value.byteOffset, value.byteLength / 4)
}

/** Returns a URL of this realm for one of any realm, or undefined. */
export function asUrl(value: unknown): URL | undefined {
  if (value instanceof URL) return value
  return classOf(value) === 'URL' ? new URL((value as URL).href) : undefined
}

/** Whether a value is a Blob or a File. */
export function isBlob(value: unknown): value is Blob {
  return value instanceof Blob || ['Blob', 'File'].includes(classOf(value))
}

/** Whether a value is a ReadableStream. */
export function isStream(value: unknown): value is ReadableStream<Uint8Array> {
  return classOf(value) === 'ReadableStream'
}

/**
 * Reads the bytes from `start` to `end` of a Blob. A Blob of jsdom can be read only by FileReader.
 */
export async function readBlob(blob: Blob, start: number, end: number): Promise<Uint8Array> {
  const part = blob.slice(start, end)
  if (typeof part.arrayBuffer === 'function') return new Uint8Array(await part.arrayBuffer())
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(new Uint8Array(reader.result as ArrayBuffer))
    reader.onerror = () => reject(reader.error)
    reader.readAsArrayBuffer(part)
  })
}
