/**
 * Checks the elements of a Matroska segment before mediabunny 1.61 reads them. Between invalid
 * elements, mediabunny searches forever (`resync` in its ebml.ts does not end without a result).
 * Broken and unnecessary elements become padding.
 */
import { TrecvitError } from '../../base/error.ts'
import { Padding, type Patch, type Pieces, type SeekableMedia } from '../container/pieces.ts'
import { capital } from '../source/media.ts'
import { type Cluster, hasBlock, isBlock } from './cluster.ts'
import { type Element, MAX_HEADER, readElement, voidHeader } from './elements.ts'
import { ID, isLevel1, isTop, MAX_PARTS } from './ids.ts'
import { type MatroskaTrack, readTracks } from './tracks.ts'

/** Largest size in bytes of a cluster that is skipped if it has no block of the track. */
const SMALL_CLUSTER = 2 ** 12
const MAX_TRACKS = 2 ** 24
const MAX_ELEMENTS = 2 ** 22

/** The parser of one segment. */
export class Segment {
  readonly #media: SeekableMedia
  readonly #pieces: Pieces
  /** Patches for mediabunny. Parsing adds to them. */
  readonly patches: Patch[] = []
  readonly #padding: Padding
  /** Offset up to which the segment was parsed. */
  #at: number
  /** Offset of the end of the segment; Infinity if its size is unknown. */
  readonly #end: number
  /** The video track; null until it is found. */
  track: MatroskaTrack | null = null
  readonly #seen = new Set<number>()
  #elements = 0
  /** Bytes of clusters that overlap later elements of the segment. */
  #overlap = 0
  #cluster: Cluster | null = null
  /** Offset of the first of adjacent unknown elements. */
  #unknown: number | null = null
  /** How a recording of unknown size ends within an element, as a clause. */
  interrupted: string | null = null
  /** Offset where another file begins. */
  next: number | null = null
  /** The last call of `advance`. Calls run one at a time. */
  #turn: Promise<void> = Promise.resolve()

  /**
   * @param at offset of the first element
   * @param end offset of its end; Infinity: unknown
   */
  constructor(media: SeekableMedia, pieces: Pieces, at: number, end: number) {
    this.#media = media
    this.#pieces = pieces
    this.#padding = new Padding(this.patches, voidHeader, Infinity)
    this.#at = at
    this.#end = end
  }

  /** True if the segment was parsed completely. */
  get isOver(): boolean {
    return this.#at >= this.#stop
  }

  /** Offset where parsing ends. */
  get #stop(): number {
    return Math.min(this.next ?? Infinity, this.#end, this.#media.size)
  }

  /** Parses up to an offset or further, at most to the end of the segment or file. */
  advance(limit: number): Promise<void> {
    this.#turn = this.#turn.then(() => this.#walk(limit))
    return this.#turn
  }

  async #walk(limit: number): Promise<void> {
    const pieces = this.#pieces
    while (this.#at < Math.min(limit, this.#stop)) {
      // Awaits only when necessary: a megabyte can contain half a million elements.
      if (pieces.isPauseDue) await pieces.pause()
      if (!pieces.holds(this.#at, MAX_HEADER)) await pieces.load(this.#at, MAX_HEADER)
      if (this.#cluster?.end != null && this.#at >= this.#cluster.end) this.#endCluster()
      const element = this.#element()
      // mediabunny ends a cluster here, regardless of its size.
      const endsCluster = element !== null && isTop(element.id)
      const isPacket = this.#cluster !== null && element !== null && isBlock(element)
      if (!isPacket && ++this.#elements > MAX_ELEMENTS)
        throw this.#fault(`has more than ${MAX_ELEMENTS} elements: it is damaged`)
      if (this.#cluster !== null && !endsCluster) this.#inCluster(element, this.#cluster)
      else if (element !== null && isLevel1(element.id)) await this.#level1(element)
      else this.#inSegment(element)
    }
    this.#padding.end()
  }

  /** Returns the element that begins here; null if its header exceeds the segment. */
  #element(): Element | null {
    const { bytes, start } = this.#pieces
    const element = readElement(bytes, this.#at - start, this.#at)
    return element !== null && element.body <= this.#stop ? element : null
  }

  /**
   * Parses an element of a cluster. After a broken one, the rest of the cluster becomes padding.
   */
  #inCluster(element: Element | null, cluster: Cluster): void {
    const stop = this.#stop
    const end = Math.min(cluster.end ?? stop, stop)
    if (++cluster.parts > MAX_PARTS)
      throw this.#fault(`has a cluster of more than ${MAX_PARTS} elements: it is damaged`)
    if (element !== null && element.end !== null && element.end <= end) {
      if (isBlock(element)) cluster.hasBlock = true
      this.#at = element.end
      return
    }
    if (end === stop) this.#interrupt()
    if (cluster.end === null) {
      this.#endCluster()
      this.#padding.end()
    }
    if (end - this.#at > 1) this.patches.push({ at: this.#at, bytes: voidHeader(end - this.#at) })
    else if (end < stop) throw this.#damaged(this.#at)
    this.#at = end
  }

  #inSegment(element: Element | null): void {
    const { size } = this.#media
    const at = this.#at
    this.#endCluster()
    if ((element?.end ?? 0) > size) this.#interrupt()
    // Too few bytes for a header are not an element.
    if (element === null && at + MAX_HEADER > this.#stop) {
      this.#pad(at, this.#stop)
      this.#at = this.#stop
    } else if (
      element === null ||
      (this.#unknown !== null && (element.end ?? Infinity) > this.#stop)
    )
      throw this.#damaged(this.#unknown ?? at)
    else if (element.id === ID.ebml) {
      this.#padding.end()
      this.next = at
      if (size - at > 1) this.patches.push({ at, bytes: voidHeader(size - at) })
    } else this.#unknownElement(element)
  }

  /** Records an interruption. If the segment has a size, missing bytes are reported instead. */
  #interrupt(): void {
    if (this.#end !== Infinity) return
    const where = `the element at byte ${this.#at}`
    this.interrupted ??= `ends within ${where}: its recording was interrupted`
  }

  #level1(element: Element): Promise<void> | void {
    this.#checkOverlap(element.at)
    if (element.id !== ID.cluster && (element.end ?? 0) > this.#media.size) this.#interrupt()
    this.#endCluster()
    this.#unknown = null
    const isFirst = !this.#seen.has(element.id)
    this.#seen.add(element.id)
    this.#at = element.end ?? element.body
    if (element.id === ID.cluster) return this.#beginCluster(element)
    if (element.end === null) throw this.#damaged(element.at)
    if (element.id === ID.tracks && isFirst) return this.#tracks(element)
    if (element.id === ID.info && isFirst) this.#padding.end()
    else this.#pad(element.at, element.end)
  }

  /**
   * Limits overlapping clusters. A cluster may claim slightly more than it has, but mediabunny
   * loads every claimed byte. Nested clusters would then need memory quadratic in the file size.
   */
  #checkOverlap(at: number): void {
    const { size } = this.#media
    const end = this.#cluster?.end ?? at
    if (end <= size) this.#overlap += end - at
    if (this.#overlap > size)
      throw this.#fault(`has clusters within clusters at byte ${at}: it is damaged`)
  }

  #beginCluster(element: Element): void {
    const length = (element.end ?? Infinity) - element.at
    const isSmall =
      length <= SMALL_CLUSTER && this.#pieces.holds(element.at, length) && this.track !== null
    if (isSmall && !hasBlock(this.#pieces, element, this.track!.number))
      return this.#pad(element.at, element.end!)
    this.#cluster = { at: element.at, end: element.end, hasBlock: false, parts: 0 }
    this.#at = element.body
    if (element.end !== null) this.#padding.end()
  }

  async #tracks(element: Element): Promise<void> {
    this.#padding.end()
    if (element.end! - element.at > MAX_TRACKS) throw this.#damaged(element.at)
    const bytes = new Uint8Array(await this.#pieces.at(element.at, element.end! - element.at))
    const track = readTracks(bytes)
    if (Array.isArray(track)) {
      if (track.length > 0)
        throw this.#fault(
          `has no video, only ${track.join(' and ')}: give a file with a video track`,
        )
      return
    }
    this.track = track
    this.patches.push({ at: element.at, bytes })
  }

  /**
   * Handles padding, a checksum, or an unknown element. An unknown element that no known one
   * follows is damage.
   */
  #unknownElement(element: Element): void {
    if (element.end === null) throw this.#damaged(this.#unknown ?? element.at)
    if (element.id !== ID.void && element.id !== ID.crc) this.#unknown ??= element.at
    this.#pad(element.at, element.end)
    this.#at = element.end
  }

  /** Ends a cluster. One of unknown size without a block becomes padding. */
  #endCluster(): void {
    const cluster = this.#cluster
    this.#cluster = null
    if (cluster === null || cluster.end !== null) return
    if (cluster.hasBlock) this.#padding.end()
    else this.#pad(cluster.at, this.#at)
  }

  /** Adds padding, at most to the end of the segment. mediabunny reads nothing after it. */
  #pad(at: number, end: number): void {
    const to = Math.min(end, this.#stop)
    // Padding has at least two bytes, and mediabunny never reads a single byte as an element.
    if (to - at > 1) this.#padding.add(at, to)
  }

  #damaged(at: number): TrecvitError {
    return this.#fault(`is damaged at byte ${at}: a part of a Matroska file should begin there`)
  }

  #fault(text: string): TrecvitError {
    return new TrecvitError(`${capital(this.#media.name)} ${text}`)
  }
}
