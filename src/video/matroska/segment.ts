/**
 * The elements of a Matroska segment, walked ahead of mediabunny 1.61: between elements that are
 * none it searches for ever (`resync` in its ebml.ts does not end where nothing is found). What is
 * broken, or need not be seen, becomes padding.
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

/** The walk through one segment. */
export class Segment {
  readonly #media: SeekableMedia
  readonly #pieces: Pieces
  /** What mediabunny sees instead; grows with the walk. */
  readonly patches: Patch[] = []
  readonly #padding: Padding
  /** Everything before it was walked. */
  #at: number
  /** Where the segment ends; infinite when it does not tell. */
  readonly #end: number
  /** The video track, once it was found. */
  track: MatroskaTrack | null = null
  readonly #seen = new Set<number>()
  #elements = 0
  /** Bytes of clusters that other elements of the segment begin before. */
  #overlap = 0
  #cluster: Cluster | null = null
  /** The first of unknown elements in a row. */
  #unknown: number | null = null
  /** How a recording of unknown size ends within an element, as a clause. */
  interrupted: string | null = null
  /** Where another file begins. */
  next: number | null = null
  /** The last walk: one at a time. */
  #turn: Promise<void> = Promise.resolve()

  /**
   * @param at offset of the first element
   * @param end of the segment; infinite: unknown
   */
  constructor(media: SeekableMedia, pieces: Pieces, at: number, end: number) {
    this.#media = media
    this.#pieces = pieces
    this.#padding = new Padding(this.patches, voidHeader, Infinity)
    this.#at = at
    this.#end = end
  }

  /** True when the walk has come to its end. */
  get isOver(): boolean {
    return this.#at >= this.#stop
  }

  /** Where the walk ends. */
  get #stop(): number {
    return Math.min(this.next ?? Infinity, this.#end, this.#media.size)
  }

  /** Walks on up to an offset at least, the end of the part or that of the file. */
  advance(limit: number): Promise<void> {
    this.#turn = this.#turn.then(() => this.#walk(limit))
    return this.#turn
  }

  async #walk(limit: number): Promise<void> {
    const pieces = this.#pieces
    while (this.#at < Math.min(limit, this.#stop)) {
      // Without a wait for each element: there can be half a million in a megabyte.
      if (pieces.isTired) await pieces.pause()
      if (!pieces.holds(this.#at, MAX_HEADER)) await pieces.load(this.#at, MAX_HEADER)
      if (this.#cluster?.end != null && this.#at >= this.#cluster.end) this.#endCluster()
      const element = this.#element()
      // mediabunny ends a cluster here, whatever its size.
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

  /** The element whose header begins here; null when none does before the end of the segment. */
  #element(): Element | null {
    const { bytes, start } = this.#pieces
    const element = readElement(bytes, this.#at - start, this.#at)
    return element !== null && element.body <= this.#stop ? element : null
  }

  /** A part of a cluster; from one that is broken on, the cluster is padding. */
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
    // Fewer bytes than a header has are no element.
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

  /** A segment of known size tells by itself how much is missing. */
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
   * A cluster may claim a little more than it has. mediabunny loads what each claims, so that many
   * clusters within each other take the square of the file.
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
   * Padding, a checksum, or an element that nobody knows; one that no known element follows is
   * damage.
   */
  #unknownElement(element: Element): void {
    if (element.end === null) throw this.#damaged(this.#unknown ?? element.at)
    if (element.id !== ID.void && element.id !== ID.crc) this.#unknown ??= element.at
    this.#pad(element.at, element.end)
    this.#at = element.end
  }

  /** A cluster of unknown size without a block is padding. */
  #endCluster(): void {
    const cluster = this.#cluster
    this.#cluster = null
    if (cluster === null || cluster.end !== null) return
    if (cluster.hasBlock) this.#padding.end()
    else this.#pad(cluster.at, this.#at)
  }

  /** Pads up to the end of the segment at most: mediabunny sees nothing behind it. */
  #pad(at: number, end: number): void {
    const to = Math.min(end, this.#stop)
    // Padding has two bytes at least, and mediabunny takes no single byte for an element.
    if (to - at > 1) this.#padding.add(at, to)
  }

  #damaged(at: number): TrecvitError {
    return this.#fault(`is damaged at byte ${at}: a part of a Matroska file should begin there`)
  }

  #fault(text: string): TrecvitError {
    return new TrecvitError(`${capital(this.#media.name)} ${text}`)
  }
}
