/**
 * A file as a tree of parts. Lengths, offsets and checksums are computed when the tree is written.
 * So the file stays consistent when parts are moved, and mutations reach the parsers of inner
 * parts.
 */

/** Sizes and contents of parts in the written file. */
export interface Places {
  offset(part: Part): number
  /** Size of a part in bytes. */
  size(part: Part): number
  /** Bytes of a part. Only for `late` numbers. */
  bytes(part: Part): Uint8Array
  /** Bytes of a part before it was packed. */
  content(part: Part): Uint8Array
}

/** A number. */
export interface Num {
  readonly is: 'number'
  readonly width: number
  /** `vint` is the length of an EBML element (RFC 8794 4). */
  readonly order: 'little' | 'big' | 'vint'
  value: number | bigint | ((places: Places, parent: Group) => number)
  /** Whether it is computed from bytes and therefore written after all other parts. */
  readonly late: boolean
}

export interface Bytes {
  readonly is: 'bytes'
  data: Uint8Array
}

/** Text whose words and numbers are mutated. */
export interface Text {
  readonly is: 'text'
  text: string
}

/** A JSON value. */
export interface Json {
  readonly is: 'json'
  value: unknown
}

/** A sequence of parts. */
export interface Group {
  readonly is: 'group'
  /** Type of the group. It may be replaced by groups of the same type. */
  readonly name: string
  parts: Part[]
  /** Compresses the parts. */
  readonly pack: ((content: Uint8Array) => Uint8Array) | undefined
}

export type Part = Num | Bytes | Text | Json | Group

export const number = (
  width: number,
  order: Num['order'],
  value: Num['value'],
  late = false,
): Num => ({ is: 'number', width, order, value, late })
export const bytes = (data: Uint8Array): Bytes => ({ is: 'bytes', data })
export const latin = (text: string): Bytes => bytes(new Uint8Array(Buffer.from(text, 'latin1')))
export const text = (value: string): Text => ({ is: 'text', text: value })
export const json = (value: unknown): Json => ({ is: 'json', value })
export const group = (name: string, parts: Part[], pack?: Group['pack']): Group => ({
  is: 'group',
  name,
  parts,
  pack,
})

/** Returns a copy. Computed numbers refer to their new parents. */
export function copy<P extends Part>(part: P): P {
  if (part.is === 'group') return { ...part, parts: part.parts.map(copy) }
  return part.is === 'json' ? { ...part, value: structuredClone(part.value) } : { ...part }
}

interface Laid {
  offset: number
  size: number
  /** The bytes of text, JSON and packed groups. */
  ready?: Uint8Array
  /** The bytes of a packed group before packing. */
  content?: Uint8Array
}

/** The written file, and the offsets of its top-level parts. */
export interface Written {
  readonly data: Uint8Array
  readonly parts: readonly { readonly part: Part; readonly data: Uint8Array }[]
}

/** Writes a tree. */
export function write(root: Group): Written {
  const laid = new Map<Part, Laid>()
  const missing: Laid = { offset: 0, size: 0 }
  const size = lay(root, 0, laid)
  const data = new Uint8Array(size)
  const slice = (part: Part): Uint8Array => {
    const { offset, size } = laid.get(part) ?? missing
    return data.subarray(offset, offset + size)
  }
  const places: Places = {
    offset: (part) => (laid.get(part) ?? missing).offset,
    size: (part) => (laid.get(part) ?? missing).size,
    bytes: slice,
    content: (part) => laid.get(part)?.content ?? slice(part),
  }
  const late: (() => void)[] = []
  const put = (part: Part, parent: Group): void => {
    const { offset, ready } = laid.get(part)!
    if (ready) data.set(ready, offset)
    else if (part.is === 'bytes') data.set(part.data, offset)
    else if (part.is === 'group') for (const child of part.parts) put(child, part)
    else if (part.is === 'number') {
      const { value } = part
      const set = () =>
        encode(part, typeof value === 'function' ? value(places, parent) : value, data, offset)
      if (part.late) late.push(set)
      else set()
    }
  }
  put(root, root)
  for (const set of late) set()
  return { data, parts: root.parts.map((part) => ({ part, data: slice(part) })) }
}

function lay(part: Part, offset: number, laid: Map<Part, Laid>): number {
  const place: Laid = { offset, size: 0 }
  laid.set(part, place)
  if (part.is === 'group' && !part.pack) {
    for (const child of part.parts) place.size += lay(child, offset + place.size, laid)
  } else if (part.is === 'group') {
    place.content = write(group(part.name, part.parts)).data
    place.ready = part.pack!(place.content)
    place.size = place.ready.length
  } else if (part.is === 'number') place.size = part.width
  else if (part.is === 'bytes') place.size = part.data.length
  else {
    place.ready = new TextEncoder().encode(
      part.is === 'json' ? (JSON.stringify(part.value) ?? '') : part.text,
    )
    place.size = place.ready.length
  }
  return place.size
}

function encode(
  { width, order }: Num,
  value: number | bigint,
  data: Uint8Array,
  offset: number,
): void {
  const bits = order === 'vint' ? 7 * width : 8 * width
  let rest = BigInt.asUintN(
    bits,
    typeof value === 'bigint' ? value : BigInt(Math.trunc(value) || 0),
  )
  if (order === 'vint') rest |= 1n << BigInt(bits)
  for (let i = 0; i < width; i++) {
    data[offset + (order === 'little' ? i : width - 1 - i)] = Number(rest & 255n)
    rest >>= 8n
  }
}
