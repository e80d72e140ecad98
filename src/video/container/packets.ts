/**
 * The packets of a track, as decoders take them.
 */
import { type EncodedPacket, EncodedPacketSink, type InputVideoTrack } from 'mediabunny'
import { iterate } from '../iterate.ts'

/** What is done to packets, in order, before a decoder gets them. */
export type Change = (packet: EncodedPacket) => EncodedPacket | Promise<EncodedPacket>

/** Packets from a key packet on. `fail` throws what is wrong with a file by a reader's error. */
export class Packets {
  readonly sink: EncodedPacketSink
  readonly #leading: () => (packet: EncodedPacket) => boolean
  readonly #change: () => Change | null
  readonly #fail: (error: unknown) => never
  /** Packets of the last reading from the first one on; null while it has not come to its end. */
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

  /** @param from seconds of the media, before which packets are not needed */
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
   * False when mediabunny ended, without a word, before the last of `count` packets. A browser's
   * decoder reads for itself.
   */
  async hasAll(count: number): Promise<boolean> {
    if (!this.#wasRead) return (await this.sink.getPacket(Infinity)) !== null
    return this.#count === null || this.#count >= count
  }
}
