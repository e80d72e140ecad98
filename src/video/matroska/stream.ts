/**
 * Matroska and WebM streams, checked before mediabunny 1.61 sees them: it allocates what an element
 * claims, and behind an element that it does not know it may search for ever (`resync`).
 */
import { TrecvitError } from '../../base/error.ts'
import { ByteReader } from '../source/byteReader.ts'
import { streamOf } from '../source/filter.ts'
import { capital } from '../source/media.ts'
import { hasBlock, isBlock } from './cluster.ts'
import { type Element, MAX_HEADER, readElement, voidHeader } from './elements.ts'
import { ID, isTop, MAX_PARTS } from './ids.ts'
import { readTracks } from './tracks.ts'

/** Elements that mediabunny reads whole, and the most bytes of their bodies. */
const WHOLE: ReadonlyMap<number, number> = new Map([
  [ID.ebml, 2 ** 12],
  [ID.info, 2 ** 24],
  [ID.tracks, 2 ** 24],
  [ID.cluster, 2 ** 28],
])

/**
 * The stream as mediabunny sees it, with every element at its offset. Elements that it reads whole
 * have all their bytes; those that it need not see are padding. The result ends in a TrecvitError
 * where something else than an element begins, and without one where the stream is cut short.
 * @param name for messages
 */
export function checkedMatroska(
  stream: ReadableStream<Uint8Array>,
  name: string,
): ReadableStream<Uint8Array> {
  const reader = new ByteReader(stream)
  return streamOf(new StreamWalk(reader, name).run(), () => reader.cancel())
}

/** The first offset behind an element, or behind the header of one that is entered. */
function endOf({ id, body, end }: Element): number {
  return id === ID.segment ? body : (end ?? body)
}

/** Gives the elements of a stream. */
class StreamWalk {
  readonly #reader: ByteReader
  readonly #name: string
  /** Ids of elements that were read whole. */
  readonly #seen = new Set<number>()
  /** Number of the video track. */
  #track = 0
  /** A cluster of unknown size: its elements before the first block, none afterwards. */
  #cluster: { parts: number; before: Uint8Array[] | null } | null = null
  /** Bytes of elements in a row that mediabunny need not see. */
  #padding = 0

  constructor(reader: ByteReader, name: string) {
    this.#reader = reader
    this.#name = name
  }

  async *run(): AsyncGenerator<Uint8Array, void> {
    const reader = this.#reader
    for (let at = 0; ; ) {
      // Without a wait for each element: there can be half a million in a megabyte.
      const ready = readElement(reader.hand, 0, at)
      if (ready !== null && endOf(ready) - at <= reader.hand.length) {
        this.#enter(ready)
        for (const bytes of this.#see(ready, reader.now(endOf(ready) - at))) yield bytes
        at = endOf(ready)
        continue
      }
      // What is here is not kept back while more is awaited.
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
   * Checks that an element may begin here.
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

  /** True for an element that mediabunny reads. */
  #isWhole(id: number): boolean {
    return WHOLE.has(id) && (id === ID.cluster || !this.#seen.has(id))
  }

  /** @returns what can be passed on */
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

  /** Called before the blocks of a cluster of unknown size. */
  #block(): Uint8Array[] {
    const before = [...this.#endPadding(), ...(this.#cluster?.before ?? [])]
    this.#cluster!.before = null
    return before
  }

  /** A cluster without a block is padding. */
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

  /** @throws TrecvitError where the elements of a cluster do not fill it */
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

  /** The bytes of an element's header; null where the stream ends within it. */
  async #readHeader(): Promise<Uint8Array | null> {
    const bytes = new Uint8Array(MAX_HEADER)
    let length = 0
    const read = async (count: number): Promise<boolean> => {
      length += count
      return (await this.#reader.fill(bytes.subarray(length - count, length))) === count
    }
    if (!(await read(1))) return null
    const idLength = Math.clz32(bytes[0]!) - 23
    // The rest of the id, and the first byte of the size.
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
