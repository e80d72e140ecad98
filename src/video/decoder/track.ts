/**
 * The interface of decoders of compressed video.
 */
import type { EncodedPacket, InputVideoTrack } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import type { Codec } from '../codec/codec.ts'
import type { Frame } from '../frame.ts'

/** The video track of an opened file. */
export interface Track {
  readonly input: InputVideoTrack
  /** Name of the codec in mediabunny (avc, hevc, vp8, vp9, av1), or mjpeg. */
  readonly kind: string
  readonly codec: Codec
  readonly config: VideoDecoderConfig
  /** True if packets differ from those of `input`: decompressed, or with parameter sets added. */
  readonly isChanged: boolean
  /**
   * Returns all packets from a key frame on, in decoding order.
   * @param from seconds of the media; packets before it may be skipped. Default: the first key
   * frame
   * @throws TrecvitError if the file ends early or is damaged
   */
  packets(from?: number): AsyncIterable<EncodedPacket>
}

/**
 * A decoded picture. `time` is that of the container. `matrix` is set if the decoder knows that the
 * planes are G, B and R; it overrides the container.
 */
export type Decoded = Pick<Frame, 'format' | 'width' | 'height' | 'planes' | 'time'> & {
  readonly matrix?: 'rgb'
}

/** Yields every picture of a track, in order of presentation. */
export type Decode = (track: Track, signal: AbortSignal) => AsyncGenerator<Decoded>

/** How far a decoder progressed: not installed, stream not supported, or failed while decoding. */
export type Progress = 'missing' | 'refused' | 'decoding'

/**
 * The error of a decoder that cannot decode the stream. Another one may. The message is a clause
 * without the name of the video.
 */
export class DecoderFault extends TrecvitError {
  readonly progress: Progress

  /** @param options `progress` defaults to `decoding` */
  constructor(message: string, options: ErrorOptions & { progress?: Progress } = {}) {
    super(message, options)
    this.progress = options.progress ?? 'decoding'
  }
}

/** Longest decoder message in an error, in characters. */
const LONGEST = 80

/** Returns the first line of a decoder's message, as part of a sentence. */
export function firstLine(text: string): string {
  const line = text.split('\n', 1)[0]!.trim().replace(/\.$/, '')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}

/**
 * Whether a packet is a VP8 frame that is decoded but never shown (RFC 6386 9.1). Other codecs
 * store such frames in the packet of a shown frame.
 */
export function isHidden(track: Track, packet: EncodedPacket): boolean {
  return track.kind === 'vp8' && ((packet.data[0] ?? 0x10) & 0x10) === 0
}

/**
 * Timestamps for decoders that return none. Pictures come in order of presentation, so each has the
 * smallest time of the packets that have no picture yet.
 */
export class Clock {
  readonly #waiting: number[] = []
  #last = 0

  /** Adds the time of a packet. */
  add(time: number): void {
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]! > time) at--
    this.#waiting.splice(at, 0, time)
  }

  /** Returns the time of the next picture in seconds. */
  next(): number {
    this.#last = this.#waiting.shift() ?? this.#last
    return this.#last
  }
}
