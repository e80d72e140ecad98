/**
 * Checks Matroska and WebM streams before mediabunny 1.61 reads them. mediabunny allocates as many
 * bytes as an element claims. After an unknown element it may search forever (`resync`).
 */
import { TrecvitError } from '../../base/error.ts'
import { ByteReader } from '../source/byteReader.ts'
import { streamOf } from '../source/filter.ts'
import { capital } from '../source/media.ts'
import { hasBlock, isBlock } from './cluster.ts'
import { type Element, MAX_HEADER, readElement, voidHeader } from './elements.ts'
import { ID, isTop, MAX_PARTS } from './ids.ts'
import { readTracks } from './tracks.ts'

/** Elements that mediabunny reads completely, and the largest size of their bodies in bytes. */
const WHOLE: ReadonlyMap<number, number> = new Map([
  [ID.ebml, 2 ** 12],
  [ID.info, 2 ** 24],
  [ID.tracks, 2 ** 24],
  [ID.cluster, 2 ** 28],
])

/**
 * Returns the stream for mediabunny. Offsets are unchanged. Elements that mediabunny loads as a
 * whole contain all their bytes. Unnecessary elements become padding. The result throws a
 * TrecvitError at invalid bytes. It ends without an error if the stream is cut short.
 * @param name for messages
 */
export function checkedMatroska(
  stream: ReadableStream<Uint8Array>,
  name: string,
): ReadableStream<Uint8Array> {
  const reader = new ByteReader(stream)
  return streamOf(new StreamWalk(reader, name).run(), () => reader.cancel())
}

/** Returns the offset after an element, or after the header of a segment. */
function endOf({ id, body, end }: Element): number {
  return id === ID.segment ? body : (end ?? body)
}

/** Yields the elements of a stream. */
class StreamWalk {
  readonly #reader: ByteReader
  readonly #name: string
  /** Ids of elements that were read completely. */
  readonly #seen = new Set<number>()
  /** Number of the video track. */
  #track = 0
  /** A cluster of unknown size. `before` holds its elements before the first block. */
  #cluster: { parts: number; before: Uint8Array[] | null } | null = null
  /** Bytes of adjacent elements that mediabunny need not read. */
  #padding = 0

  constructor(reader: ByteReader, name: string) {
    this.#reader = reader
    this.#name = name
  }

  async *run(): AsyncGenerator<Uint8Array, void> {
    const reader = this.#reader
    for (let at = 0; ; ) {
      // Awaits only when necessary: a megabyte can contain half a million elements.
      const ready = readElement(reader.hand, 0, at)
      if (ready !== null && endOf(ready) - at <= reader.hand.length) {
        this.#enter(ready)
        for (const bytes of this.#see(ready, reader.now(endOf(ready) - at))) yield bytes
        at = endOf(ready)
        continue
      }
      // Passes on the available bytes before waiting for more.
      for (const bytes of this.#endPadding()) yield bytes
      const header = await this.#readHeader()
      if (header === null) return
      const element = readElement(header, 0, at)
      if (element === null) throw this.#damaged(at)
      this.#enter(element)
      const length = endOf(element) - at
      at += length
      if (length === header.length || this.#isWhole(element.id)) {
        const bytes = await reader.takeBehind(header, length)
        if (bytes.length < length) return
        for (const part of this.#see(element, bytes)) yield part
      } else {
        if (this.#cluster === null) header.set(voidHeader(length, header.length))
        else for (const part of this.#block()) yield part
        yield header
        yield* reader.parts(length - header.length)
      }
    }
  }

  /**
   * Checks whether an element may begin here.
   * @throws TrecvitError
   */
  #enter({ id, at, body, end }: Element): void {
    if (isTop(id)) this.#endCluster()
    const hasSegment = this.#seen.has(ID.segment)
    if (hasSegment && id === ID.ebml)
      throw this.#fault(`continues with another file at byte ${at}: give a file, not a stream`)
    const isInCluster = this.#cluster !== null
    const isKnown = isTop(id) || isInCluster || id === ID.void || id === ID.crc
    const isOpen = id === ID.segment || id === ID.cluster
    if (!isKnown || (hasSegment && id === ID.segment) || (end === null && !isOpen))
      throw this.#damaged(at)
    if (id === ID.segment) this.#seen.add(id)
    if (this.#cluster !== null && ++this.#cluster.parts > MAX_PARTS) throw this.#flooded()
    const most = this.#isWhole(id) ? WHOLE.get(id)! : Infinity
    if (end === null || end - body <= most) return
    const limit = `at most ${most} are read from a stream`
    throw this.#fault(`has an element of ${end - body} bytes at byte ${at}: ${limit}`)
  }

  /** Whether mediabunny reads an element completely. */
  #isWhole(id: number): boolean {
    return WHOLE.has(id) && (id === ID.cluster || !this.#seen.has(id))
  }

  /** @returns the bytes to pass on */
  #see(element: Element, bytes: Uint8Array): Uint8Array[] {
    const { id, at, body, end } = element
    if (id === ID.segment) return [...this.#endPadding(), bytes]
    if (end === null) this.#cluster = { parts: 0, before: [] }
    if (this.#cluster !== null) {
      if (isBlock(element)) return [...this.#block(), bytes]
      if (this.#cluster.before === null) return [bytes]
      this.#cluster.before.push(bytes)
      return []
    }
    let isSeen = this.#isWhole(id)
    if (id === ID.cluster) {
      this.#checkCluster(bytes, body - at, at)
      isSeen = hasBlock({ bytes, start: at }, element, this.#track)
    }
    if (!isSeen) {
      this.#padding += bytes.length
      return []
    }
    this.#seen.add(id)
    if (id === ID.tracks) {
      const track = readTracks(bytes.slice())
      if (!Array.isArray(track)) this.#track = track.number
    }
    return [...this.#endPadding(), bytes]
  }

  /** Starts the blocks of a cluster of unknown size. Returns the elements before them. */
  #block(): Uint8Array[] {
    const before = [...this.#endPadding(), ...(this.#cluster?.before ?? [])]
    this.#cluster!.before = null
    return before
  }

  /** Ends a cluster. Without a block, it becomes padding. */
  #endCluster(): void {
    for (const { length } of this.#cluster?.before ?? []) this.#padding += length
    this.#cluster = null
  }

  #endPadding(): Uint8Array[] {
    if (this.#padding === 0) return []
    const bytes = new Uint8Array(this.#padding)
    bytes.set(voidHeader(bytes.length))
    this.#padding = 0
    return [bytes]
  }

  /** @throws TrecvitError if the elements of a cluster do not fill it exactly */
  #checkCluster(bytes: Uint8Array, from: number, start: number): void {
    let parts = 0
    for (let at = from; at < bytes.length; ) {
      const element = readElement(bytes, at, at)
      if (element === null || isTop(element.id) || (element.end ?? Infinity) > bytes.length)
        throw this.#damaged(start + at)
      if (++parts > MAX_PARTS) throw this.#flooded()
      at = element.end!
    }
  }

  /** Returns the header of an element; null if the stream ends within it. */
  async #readHeader(): Promise<Uint8Array | null> {
    const bytes = new Uint8Array(MAX_HEADER)
    let length = 0
    const read = async (count: number): Promise<boolean> => {
      length += count
      return (await this.#reader.fill(bytes.subarray(length - count, length))) === count
    }
    if (!(await read(1))) return null
    const idLength = Math.clz32(bytes[0]!) - 23
    // Reads the rest of the id, and the first byte of the size.
    if (idLength <= 4 && !(await read(idLength))) return null
    const sizeLength = Math.clz32(bytes[idLength]!) - 23
    if (idLength <= 4 && sizeLength <= 8 && !(await read(sizeLength - 1))) return null
    return bytes.subarray(0, length)
  }

  #flooded(): TrecvitError {
    return this.#fault(`has a cluster of more than ${MAX_PARTS} elements: it is damaged`)
  }

  #damaged(at: number): TrecvitError {
    return this.#fault(`is damaged at byte ${at}: a part of a Matroska file should begin there`)
  }

  #fault(text: string): TrecvitError {
    return new TrecvitError(`${capital(this.#name)} ${text}`)
  }
}
