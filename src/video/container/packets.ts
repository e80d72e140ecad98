/**
 * The packets of a track, as decoders take them.
 */
import { type EncodedPacket, EncodedPacketSink, type InputVideoTrack } from 'mediabunny'

/** What is done to packets, in order, before a decoder gets them. */
export type Change = (packet: EncodedPacket) => EncodedPacket | Promise<EncodedPacket>

/** Packets from a key packet on. */
export class Packets {
  readonly sink: EncodedPacketSink
  readonly #leading: () => (packet: EncodedPacket) => boolean
  readonly #change: () => Change | null
  /** Packets of the last reading from the first one on; null while it has not come to its end. */
  #count: number | null = null
  #wasRead = false

  constructor(
    video: InputVideoTrack,
    leading: () => (packet: EncodedPacket) => boolean,
    change: () => Change | null,
  ) {
    this.sink = new EncodedPacketSink(video)
    this.#leading = leading
    this.#change = change
  }

  /** @param from seconds of the media, before which packets are not needed */
  async *read(from: number = -Infinity): AsyncGenerator<EncodedPacket> {
    this.#wasRead = true
    this.#count = null
    const isLeading = this.#leading()
    const change = this.#change()
    const near = from === -Infinity ? null : await this.sink.getKeyPacket(from)
    const start = near ?? (await this.sink.getFirstKeyPacket())
    if (start === null) return
    let count = 0
    for await (const packet of this.sink.packets(start)) {
      count++
      if (!isLeading(packet)) yield change === null ? packet : await change(packet)
    }
    if (near === null) this.#count = count
  }

  /**
   * False when mediabunny ended, without a word, before the last of `count` packets. A browser's
   * decoder reads for itself.
   */
  async hasAll(count: number): Promise<boolean> {
    if (!this.#wasRead) return (await this.sink.getPacket(Infinity)) !== null
    return this.#count === null || this.#count >= count
  }
}
