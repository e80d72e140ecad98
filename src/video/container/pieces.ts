/**
 * Random access to the bytes of a file in large pieces: a reader that walks small elements issues
 * one read for thousands of them.
 */
import { CustomSource, type Source } from 'mediabunny'
import { breathe } from '../../platform/platform.ts'
import type { Media } from '../source/media.ts'

/** A media whose size is known and whose bytes can be read at any offset. */
export interface SeekableMedia extends Media {
  readonly size: number
  readonly read: NonNullable<Media['read']>
}

/** True for paths, Blobs and bytes. */
export function isSeekable(media: Media): media is SeekableMedia {
  return media.size !== null && media.read !== null
}

/** Bytes of the first read at an offset, and of the largest read of a sequential walk. */
const MIN_PIECE = 2 ** 12
const MAX_PIECE = 2 ** 20
/** Milliseconds of work after which timers and aborts get their turn. */
const PAUSE = 8

/** The last piece that was read, and reads of the next one. */
export class Pieces {
  readonly size: number
  /** The piece in memory, and its offset in the file. */
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

  /** Whether the bytes at an offset are in memory; at the end of the file, as many as there are. */
  holds(at: number, length: number): boolean {
    return at >= this.start && Math.min(at + length, this.size) - this.start <= this.bytes.length
  }

  /** True when it is time to wait for `pause`. Cheap: to be asked for every element. */
  get isTired(): boolean {
    return ++this.#steps % 256 === 0 && performance.now() - this.#paused > PAUSE
  }

  /**
   * Lets timers and aborts have their turn.
   * @throws the signal's reason once it is aborted
   */
  async pause(): Promise<void> {
    await breathe()
    this.#signal.throwIfAborted()
    this.#paused = performance.now()
  }

  /** The bytes at an offset; fewer at the end of the file. */
  async at(at: number, length: number): Promise<Uint8Array> {
    if (!this.holds(at, length)) await this.load(at, length)
    return this.bytes.subarray(at - this.start, at - this.start + length)
  }

  /**
   * Brings the bytes at an offset into memory, and more behind them while the walk is sequential.
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

/** Bytes that stand in for those of the file at an offset. */
export interface Patch {
  readonly at: number
  readonly bytes: Uint8Array
}

/** Rows of elements that mediabunny need not see: each row becomes one element of padding. */
export class Padding {
  readonly #patches: Patch[]
  readonly #header: (length: number) => Uint8Array
  readonly #most: number
  #row: { readonly at: number; end: number } | null = null

  /**
   * @param header of padding that covers a number of bytes
   * @param most bytes that padding can cover
   */
  constructor(patches: Patch[], header: (length: number) => Uint8Array, most: number) {
    this.#patches = patches
    this.#header = header
    this.#most = most
  }

  /** Adds an element to the row. */
  add(at: number, end: number): void {
    if (this.#row !== null && end - this.#row.at > this.#most) this.end()
    if (end - at > this.#most) return
    if (this.#row === null) this.#row = { at, end }
    else this.#row.end = end
  }

  /** Ends the row: what follows has to be seen. */
  end(): void {
    if (this.#row === null) return
    const { at, end } = this.#row
    this.#patches.push({ at, bytes: this.#header(end - at) })
    this.#row = null
  }
}

/**
 * The file as mediabunny sees it: patched, and cut at `end`. Offsets are those of the file.
 * @param patches in order of their offsets, not overlapping
 * @param prepare called with an offset before bytes up to there are read; it may add patches
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
    // Reading ahead fails without anybody waiting; whoever needs the bytes reads them again.
    handleUnhandledError: () => {},
    async read(from, to) {
      await breathe()
      await prepare?.(to)
      const original = await read(from, to - from)
      if (original.length < to - from) throw new Error('the file became shorter while it was read')
      let first = lowerBound(patches, from)
      if ((patches[first]?.at ?? to) >= to) return original
      // A copy, which the slice of a Buffer is not: the bytes may be the caller's own.
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

/** The index of the first patch that ends behind an offset. */
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
