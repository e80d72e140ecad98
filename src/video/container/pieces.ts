/**
 * Random access to a file in large pieces. A parser of small elements needs one read for thousands
 * of them.
 */
import { CustomSource, type Source } from 'mediabunny'
import { yieldToEventLoop } from '../../platform/platform.ts'
import type { Media } from '../source/media.ts'

/** A media with known size and random access. */
export interface SeekableMedia extends Media {
  readonly size: number
  readonly read: NonNullable<Media['read']>
}

/** Whether a media is a path, a Blob or bytes. */
export function isSeekable(media: Media): media is SeekableMedia {
  return media.size !== null && media.read !== null
}

/** Bytes of the first read at an offset, and of the largest read of a sequential parser. */
const MIN_PIECE = 2 ** 12
const MAX_PIECE = 2 ** 20
/** Milliseconds of work before yielding to the event loop. */
const PAUSE = 8

/** Keeps the last piece in memory, and reads the next one on demand. */
export class Pieces {
  readonly size: number
  /** The piece in memory. `start` is its offset in the file. */
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.bytes.buffer)
  start = 0
  readonly #read: SeekableMedia['read']
  readonly #signal: AbortSignal
  #length = MIN_PIECE
  #steps = 0
  #paused = performance.now()

  constructor({ size, read }: SeekableMedia, signal: AbortSignal) {
    this.size = size
    this.#read = read
    this.#signal = signal
  }

  /** Whether the bytes at an offset are in memory, up to the end of the file. */
  holds(at: number, length: number): boolean {
    return at >= this.start && Math.min(at + length, this.size) - this.start <= this.bytes.length
  }

  /** True if `pause` is due. The check is cheap enough for every element. */
  get isPauseDue(): boolean {
    return ++this.#steps % 256 === 0 && performance.now() - this.#paused > PAUSE
  }

  /**
   * Yields to the event loop.
   * @throws the signal's reason once it is aborted
   */
  async pause(): Promise<void> {
    await yieldToEventLoop()
    this.#signal.throwIfAborted()
    this.#paused = performance.now()
  }

  /** Returns the bytes at an offset; fewer at the end of the file. */
  async at(at: number, length: number): Promise<Uint8Array> {
    if (!this.holds(at, length)) await this.load(at, length)
    return this.bytes.subarray(at - this.start, at - this.start + length)
  }

  /**
   * Loads the bytes at an offset into memory. Sequential reads also load bytes after them.
   * @throws the signal's reason once it is aborted
   */
  async load(at: number, length: number): Promise<void> {
    if (performance.now() - this.#paused > PAUSE) await this.pause()
    this.#signal.throwIfAborted()
    const end = this.start + this.bytes.length
    const sequential = at >= this.start && at <= end + MIN_PIECE
    this.#length = sequential ? Math.min(2 * this.#length, MAX_PIECE) : MIN_PIECE
    this.bytes = await this.#read(
      at,
      Math.max(0, Math.min(Math.max(length, this.#length), this.size - at)),
    )
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
    this.start = at
  }
}

/** Bytes that replace those of the file at an offset. */
export interface Patch {
  readonly at: number
  readonly bytes: Uint8Array
}

/**
 * Collects adjacent elements that mediabunny need not read. Each run is replaced by one padding
 * element.
 */
export class Padding {
  readonly #patches: Patch[]
  readonly #header: (length: number) => Uint8Array
  readonly #most: number
  #row: { readonly at: number; end: number } | null = null

  /**
   * @param header returns the header of padding of a length in bytes
   * @param most largest length of padding in bytes
   */
  constructor(patches: Patch[], header: (length: number) => Uint8Array, most: number) {
    this.#patches = patches
    this.#header = header
    this.#most = most
  }

  /** Adds an element to the run. */
  add(at: number, end: number): void {
    if (this.#row !== null && end - this.#row.at > this.#most) this.end()
    if (end - at > this.#most) return
    if (this.#row === null) this.#row = { at, end }
    else this.#row.end = end
  }

  /** Ends the run, because mediabunny reads the next element. */
  end(): void {
    if (this.#row === null) return
    const { at, end } = this.#row
    this.#patches.push({ at, bytes: this.#header(end - at) })
    this.#row = null
  }
}

/**
 * Returns the file as mediabunny reads it: with patches, and cut at `end`. Offsets are unchanged.
 * @param patches sorted by offset, without overlap
 * @param prepare called before bytes up to an offset are read; it may add patches
 */
export function patchedSource(
  { read }: SeekableMedia,
  patches: readonly Patch[],
  end: number,
  prepare?: (to: number) => Promise<void>,
): Source {
  return new CustomSource({
    getSize: () => end,
    prefetchProfile: 'fileSystem',
    // Nothing awaits a failed prefetch. The bytes are read again when they are needed.
    handleUnhandledError: () => {},
    async read(from, to) {
      await yieldToEventLoop()
      await prepare?.(to)
      const original = await read(from, to - from)
      if (original.length < to - from) throw new Error('the file became shorter while it was read')
      let first = lowerBound(patches, from)
      if ((patches[first]?.at ?? to) >= to) return original
      // Copies the bytes, because they may belong to the caller. `slice` of a Buffer does not copy.
      const bytes = new Uint8Array(original)
      for (; first < patches.length && patches[first]!.at < to; first++) {
        const patch = patches[first]!
        const skip = Math.max(0, from - patch.at)
        bytes.set(patch.bytes.subarray(skip, Math.max(skip, to - patch.at)), patch.at + skip - from)
      }
      return bytes
    },
  })
}

/** Returns the index of the first patch that ends after an offset. */
function lowerBound(patches: readonly Patch[], offset: number): number {
  let [low, high] = [0, patches.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const { at, bytes } = patches[middle]!
    if (at + bytes.length > offset) high = middle
    else low = middle + 1
  }
  return low
}
