/**
 * What every decoder of compressed video gets and gives.
 */
import type { EncodedPacket, InputVideoTrack } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import type { Codec } from '../codec/codec.ts'
import type { Frame } from '../frame.ts'

/** The video track of an opened file. */
export interface Track {
  readonly input: InputVideoTrack
  /** mediabunny's name: avc, hevc, vp8, vp9 or av1; or mjpeg. */
  readonly kind: string
  readonly codec: Codec
  readonly config: VideoDecoderConfig
  /** True when packets are not those of `input`, but decompressed or supplemented. */
  readonly isChanged: boolean
  /**
   * All packets from a key frame on, in order of decoding.
   * @param from seconds of the media, before which packets are not needed; default: the first key
   * frame
   * @throws TrecvitError when the file ends early or is damaged
   */
  packets(from?: number): AsyncIterable<EncodedPacket>
}

/**
 * A picture as a decoder gives it. `time` is the container's own. `matrix` is given where the
 * decoder knows that the planes hold G, B and R, whatever the container says.
 */
export type Decoded = Pick<Frame, 'format' | 'width' | 'height' | 'planes' | 'time'> & {
  readonly matrix?: 'rgb'
}

/** Every picture of a track, in order of presentation. */
export type Decode = (track: Track, signal: AbortSignal) => AsyncGenerator<Decoded>

/** How far a decoder came: it is not installed, refuses the stream, or fails while decoding. */
export type Progress = 'missing' | 'refused' | 'decoding'

/**
 * A decoder cannot decode the stream; another one might. The message is a clause without the
 * video's name.
 */
export class DecoderFault extends TrecvitError {
  readonly progress: Progress

  /** @param options `progress` is `decoding` by default */
  constructor(message: string, options: ErrorOptions & { progress?: Progress } = {}) {
    super(message, options)
    this.progress = options.progress ?? 'decoding'
  }
}

/** Longest text of a decoder in a message, in characters. */
const LONGEST = 80

/** The first line of a decoder's own message, as a part of a sentence. */
export function firstLine(text: string): string {
  const line = text.split('\n', 1)[0]!.trim().replace(/\.$/, '')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}

/**
 * A VP8 frame that is decoded but never shown (RFC 6386 9.1). Other codecs keep such frames in the
 * packet of a shown one.
 */
export function isHidden(track: Track, packet: EncodedPacket): boolean {
  return track.kind === 'vp8' && ((packet.data[0] ?? 0x10) & 0x10) === 0
}

/**
 * Times of presentation for decoders that do not give them: pictures come out in order of time, so
 * each has the smallest time that went in and has not come out.
 */
export class Clock {
  readonly #waiting: number[] = []
  #last = 0

  /** A packet went in. */
  add(time: number): void {
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]! > time) at--
    this.#waiting.splice(at, 0, time)
  }

  /** A picture came out: its time in seconds. */
  next(): number {
    this.#last = this.#waiting.shift() ?? this.#last
    return this.#last
  }
}
