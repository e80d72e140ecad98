/**
 * Classes of the web platform that every runtime has. jsdom replaces the global object by one
 * without them; there, they are imported from Node's modules.
 */
import { builtinModule } from './platform.ts'

type Name = 'TextEncoder' | 'TextDecoder' | 'ReadableStream' | 'DecompressionStream'

/** Returns the classes, looked up at each call: a test may replace them. */
export function webClasses(): Pick<typeof globalThis, Name> {
  if (typeof TextDecoder === 'function') return globalThis
  const [util, streams] = [builtinModule('node:util'), builtinModule('node:stream/web')]
  return { ...util, ...streams } as unknown as Pick<typeof globalThis, Name>
}

/** Returns text as UTF-8. */
export function encodeText(text: string): Uint8Array {
  const { TextEncoder } = webClasses()
  return new TextEncoder().encode(text)
}

/**
 * Returns the text of bytes.
 * @param encoding UTF-8 by default
 * @param options of TextDecoder. By default, invalid bytes are replaced and a byte-order mark is
 *   dropped
 * @throws TypeError if `fatal` is set and the bytes are not valid
 */
export function decodeText(
  bytes: Uint8Array,
  encoding = 'utf-8',
  options: TextDecoderOptions = {},
): string {
  const { TextDecoder } = webClasses()
  return new TextDecoder(encoding, options).decode(bytes)
}
