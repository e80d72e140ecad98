import type { Media } from './media.ts'

/**
 * How many bytes a Matroska or WebM file lacks at its end, by the size that its segment states; 0 when none, or when it does not say.
 * mediabunny ends such a file without a word. (RFC 8794: sizes begin with as many zero bits as further bytes follow.)
 */
export function missingBytes({ head, size }: Media): number {
  if (size === null || head[0] !== 0x1a || head[1] !== 0x45) return 0
  const header = readSize(head, 4)
  if (header === null) return 0
  const segment = header.end + header.value
  // 18 53 80 67: the segment, which holds everything else.
  if (head[segment] !== 0x18 || head[segment + 1] !== 0x53) return 0
  const body = readSize(head, segment + 4)
  return body === null ? 0 : Math.max(0, body.end + body.value - size)
}

function readSize(bytes: Uint8Array, at: number): { value: number; end: number } | null {
  const first = bytes[at]
  if (first === undefined || first === 0) return null
  const more = Math.clz32(first) - 24
  if (at + more >= bytes.length) return null
  let value = first & (0x7f >> more)
  let unknown = value === 0x7f >> more
  for (let i = 1; i <= more; i++) {
    value = value * 256 + bytes[at + i]!
    unknown &&= bytes[at + i] === 0xff
  }
  return unknown ? null : { value, end: at + more + 1 }
}
