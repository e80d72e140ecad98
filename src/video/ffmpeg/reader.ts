/**
 * The interface of the two readers: the ffmpeg process and FFmpeg in WebAssembly.
 */
import type { Decoded } from '../decoder/track.ts'
import type { Rotation } from '../frame.ts'
import type { Media } from '../source/media.ts'
import type { OnError } from '../tolerance.ts'
import type { Format } from './formats.ts'

/** Properties of the video track. */
export interface TrackInfo {
  /** FFmpeg's name of the codec. */
  readonly codec: string
  readonly profile: string | null
  /** Seconds; null: unknown. */
  readonly duration: number | null
  /** Frames per second; null: unknown. */
  readonly fps: number | null
  /** FFmpeg's name of the colour matrix, such as `bt709`; null: untagged. */
  readonly matrix: string | null
  readonly fullRange: boolean | null
  readonly siting: 'left' | 'center' | 'topleft' | null
  readonly rotation: Rotation
  readonly isMirrored: boolean
}

/** A decoded picture. */
export interface Read extends Decoded {
  /** Timestamp of the file in seconds; NaN: unknown. */
  readonly time: number
  /** Width of a pixel divided by its height; 0: unknown. */
  readonly aspect: number
  /** Cause of damage in this picture or directly before it; null: none. */
  readonly damage: string | null
}

/** An open file. */
export interface Reader {
  readonly facts: TrackInfo
  /**
   * Returns the next picture; null at the end.
   * @throws DecoderFault on damage, unless damage is skipped
   */
  next(): Promise<Read | null>
  /** Cause of damage after the last picture. Read it once, at the end. */
  readonly damage: string | null
  close(): Promise<void>
}

/** A file to open, and how. */
export interface Job {
  readonly media: Media
  readonly format: Format
  readonly onError: OnError
  readonly signal: AbortSignal
}

/**
 * Opens a file with one reader.
 * @throws DecoderFault if this reader cannot read it
 */
export type OpenReader = (job: Job) => Promise<Reader>
