/**
 * The packets of a track, prepared for decoders.
 */
import { type EncodedPacket, EncodedPacketSink, type InputVideoTrack } from 'mediabunny'
import { iterate } from '../iterate.ts'

/** A change to each packet, in order, before it is decoded. */
export type Change = (packet: EncodedPacket) => EncodedPacket | Promise<EncodedPacket>

/** Packets from a key packet on. `fail` converts an error of a reader, and throws it. */
export class Packets {
  readonly sink: EncodedPacketSink
  readonly #leading: () => (packet: EncodedPacket) => boolean
  readonly #change: () => Change | null
  readonly #fail: (error: unknown) => never
  /** Number of packets of the last read; null unless it is complete and began at the start. */
  #count: number | null = null
  #wasRead = false

  constructor(
    video: InputVideoTrack,
    leading: () => (packet: EncodedPacket) => boolean,
    change: () => Change | null,
    fail: (error: unknown) => never,
  ) {
    this.sink = new EncodedPacketSink(video)
    this.#leading = leading
    this.#change = change
    this.#fail = fail
  }

  /** @param from seconds of the media; packets before it may be skipped */
  read(from: number = -Infinity): AsyncIterable<EncodedPacket> {
    this.#wasRead = true
    this.#count = null
    const isLeading = this.#leading()
    const change = this.#change()
    let source: AsyncIterator<EncodedPacket> | null = null
    let count: number | null = 0
    const open = async (): Promise<AsyncIterator<EncodedPacket> | null> => {
      const near = from === -Infinity ? null : await this.sink.getKeyPacket(from)
      if (near !== null) count = null
      const start = near ?? (await this.sink.getFirstKeyPacket())
      return start === null ? null : this.sink.packets(start)
    }
    const next = async (): Promise<EncodedPacket | null> => {
      source ??= await open()
      if (source === null) return null
      for (;;) {
        const { value, done } = await source.next()
        if (done === true) break
        if (count !== null) count++
        if (!isLeading(value)) return change === null ? value : change(value)
      }
      this.#count = count
      return null
    }
    return iterate(
      () => next().catch(this.#fail),
      async () => void (await source?.return?.()),
    )
  }

  /**
   * Returns false if mediabunny ended before the last of `count` packets, which it does without an
   * error. WebCodecs of a browser reads the packets itself: then only the last packet is checked.
   */
  async hasAll(count: number): Promise<boolean> {
    if (!this.#wasRead) return (await this.sink.getPacket(Infinity)) !== null
    return this.#count === null || this.#count >= count
  }
}
