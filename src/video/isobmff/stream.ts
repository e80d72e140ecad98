/**
 * Reads MP4 and MOV from a stream without random access. mediabunny 1.61 gets the same bytes as
 * from a file. The index and each fragment are checked before it reads them.
 */

import { ReadableStreamSource } from 'mediabunny'
import { concat, viewOf } from '../../base/bytes.ts'
import { yieldToEventLoop } from '../../platform/platform.ts'
import { ByteReader } from '../source/byteReader.ts'
import { streamOf } from '../source/filter.ts'
import type { Media } from '../source/media.ts'
import { type Box, boxHeader, MAX_HEADER, readBox } from './boxes.ts'
import { type Isobmff, kindOf, tableOf } from './file.ts'
import { readFragment } from './fragment.ts'
import type { Movie } from './movie.ts'
import { checkIndexSize, faultOf, noIndex, patchIndex, refusal } from './movieIndex.ts'
import { mostIndexed } from './sampleTable.ts'

/** Largest number of bytes before the index. They are kept until it is received. */
const MAX_BEFORE = 2 ** 20
/** Bytes of the largest frame. mediabunny keeps as many of a stream, and allocates them at once. */
const MAX_FRAME = 2 ** 25
/** Largest box that is joined with adjacent boxes, and largest joined box, in bytes. */
const SMALL = 2 ** 12
const MAX_ROW = 2 ** 16

/**
 * @param media a stream, which is consumed
 * @returns the file; the number of frames is known only from an index, not from fragments
 * @throws TrecvitError if there is no video, or the index has more samples than possible
 */
export async function checkIsobmffStream(media: Media, signal: AbortSignal): Promise<Isobmff> {
  const reader = new ByteReader(await media.stream())
  const walk = new StreamWalk(reader, media)
  const parts = walk.run()
  const before: Uint8Array[] = []
  let length = 0
  while (walk.movie === null) {
    await yieldToEventLoop()
    signal.throwIfAborted()
    const { value, done } = await parts.next()
    if (!done) before.push(value)
    length += value?.length ?? 0
    if (walk.movie === null && (done || length > MAX_BEFORE)) {
      await reader.cancel()
      throw faultOf(media, noIndex(media.head))
    }
  }
  async function* all(): AsyncGenerator<Uint8Array, void> {
    yield* before.splice(0)
    yield* parts
  }
  const { movie, runs } = walk
  const table = movie.fragments === null || movie.samples.times.length > 0 ? tableOf(movie) : null
  return {
    kind: kindOf(walk.first!, media.head),
    // An error of the stream occurs again at the next read.
    source: new ReadableStreamSource(
      streamOf(all(), () => reader.cancel()),
      {
        handleUnhandledError() {},
      },
    ),
    movie,
    shown: table?.shown ?? null,
    times: table?.times ?? [],
    runs: table?.runs ?? runs,
    get packets() {
      return table?.packets ?? walk.packets
    },
    get cut() {
      return walk.cut
    },
  }
}

/** Yields the bytes of a stream: with each index patched, and other boxes as padding. */
class StreamWalk {
  movie: Movie | null = null
  first: Box | null = null
  cut: string | null = null
  /** Number of samples in fragments, from the first key sample on. */
  packets = 0
  readonly runs: { from: number; description: number }[] = []
  readonly #reader: ByteReader
  readonly #media: Media
  /** Adjacent small boxes that are joined. */
  #row: Uint8Array[] = []
  #rowLength = 0

  constructor(reader: ByteReader, media: Media) {
    this.#reader = reader
    this.#media = media
  }

  async *run(): AsyncGenerator<Uint8Array, void> {
    try {
      yield* this.#boxes()
    } catch (error) {
      throw refusal(this.#media, error)
    }
  }

  async *#boxes(): AsyncGenerator<Uint8Array, void> {
    const reader = this.#reader
    for (let at = 0; ; ) {
      // Awaits only when necessary: a megabyte can contain a hundred thousand boxes.
      let box = readBox(viewOf(reader.hand), 0, Infinity, at)
      if (box !== null && this.#isWhole(box) && box.end - at <= reader.hand.length) {
        for (const bytes of this.#see(box, reader.now(box.end - at))) yield bytes
        at = box.end
        continue
      }
      // Passes on the available bytes before waiting for more.
      for (const bytes of this.#endRow()) yield bytes
      const header = await this.#readHeader()
      box = readBox(viewOf(header), 0, Infinity, at)
      if (box === null) {
        yield header
        return yield* reader.parts(Infinity)
      }
      const size = box.end - at
      if (this.#isWhole(box)) {
        checkIndexSize(this.#media, box.kind, size)
        const bytes = await reader.takeBehind(header, size)
        if (bytes.length < size) return yield* this.#endIn(box, bytes)
        for (const part of this.#see(box, bytes)) yield part
      } else {
        // mediabunny recognises a file by its first box.
        header.set(boxHeader(at === 0 ? 'ftyp' : 'free', 0).subarray(4), 4)
        yield header
        yield* reader.parts(size - header.length)
      }
      at = box.end
    }
  }

  /** Whether a box is read completely before any of it is passed on. */
  #isWhole(box: Box): boolean {
    const { kind, at, end } = box
    this.first ??= box
    if (this.movie === null && (kind === 'mdat' || kind === 'moof'))
      throw faultOf(this.#media, noIndex(this.#media.head))
    if (this.#isIndex(kind)) return end < Infinity
    return at > 0 && end - at <= SMALL
  }

  #isIndex(kind: string): boolean {
    return this.movie === null ? kind === 'moov' : kind === 'moof' && this.movie.fragments !== null
  }

  /** Reads a header. It is shorter at the end of the stream. */
  async #readHeader(): Promise<Uint8Array> {
    const bytes = new Uint8Array(MAX_HEADER)
    const got = await this.#reader.fill(bytes.subarray(0, 8))
    if (got < 8 || viewOf(bytes).getUint32(0) !== 1) return bytes.subarray(0, got)
    return bytes.subarray(0, 8 + (await this.#reader.fill(bytes.subarray(8))))
  }

  /** Handles the end of the stream within a box. */
  *#endIn({ kind, at }: Box, bytes: Uint8Array): Generator<Uint8Array, void> {
    if (!this.#isIndex(kind)) yield bytes
    else if (kind === 'moof') this.cut = `is cut short: the fragment at byte ${at} is not complete`
  }

  /** @returns the bytes to pass on */
  #see({ kind, at }: Box, bytes: Uint8Array): Uint8Array[] {
    if (this.#isIndex(kind)) {
      const seen = kind === 'moov' ? this.#index(bytes, at) : this.#fragment(bytes, at)
      if (seen !== null) return [...this.#endRow(), seen]
    }
    this.#row.push(bytes)
    this.#rowLength += bytes.length
    return this.#rowLength > MAX_ROW ? this.#endRow() : []
  }

  #index(moov: Uint8Array, at: number): Uint8Array {
    const most = mostIndexed(moov.length)
    const { movie, bytes } = patchIndex(this.#media, moov, at === 0, null, most)
    this.movie = movie
    this.#checkFrame(movie.samples.largest)
    return bytes
  }

  /** Checks a fragment. Returns null if it has no samples of the track and becomes padding. */
  #fragment(moof: Uint8Array, at: number): Uint8Array | null {
    const { track, fragments } = this.movie!
    const fragment = readFragment(moof, at, track, fragments!, mostIndexed(moof.length))
    if (fragment === null) return null
    const { times, firstKey, description, changed } = fragment
    this.#checkFrame(fragment.largest)
    if (this.packets > 0 || firstKey >= 0)
      this.packets += times.length - (this.packets > 0 ? 0 : firstKey)
    if (this.runs.at(-1)?.description !== description) this.runs.push({ from: at, description })
    return changed ?? moof
  }

  #checkFrame(size: number): void {
    if (size <= MAX_FRAME) return
    const limit = `at most ${MAX_FRAME} are read from a stream`
    throw faultOf(this.#media, `has a frame of ${size} bytes: ${limit}, so give a file`)
  }

  #endRow(): Uint8Array[] {
    if (this.#rowLength === 0) return []
    const bytes = concat(this.#row)
    bytes.set(boxHeader('free', bytes.length))
    this.#row = []
    this.#rowLength = 0
    return [bytes]
  }
}
