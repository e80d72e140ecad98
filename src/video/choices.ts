/**
 * What a caller chooses to open a video. Apart from the readers, so that the public types need no
 * types of other packages.
 */

/** One file or stream that can be opened as a video. */
export type VideoSource =
  | string
  | URL
  | Blob
  | ArrayBuffer
  | Uint8Array
  | ReadableStream<Uint8Array>

/**
 * The decoder: the best that works, WebCodecs (in Node the package node-webcodecs), the system's
 * ffmpeg, or FFmpeg in WebAssembly.
 */
export type DecoderChoice = 'auto' | 'native' | 'ffmpeg' | 'wasm'

/** The format of bare RGB bytes, which do not tell it. */
export interface RawFormat {
  /** Interleaved R, G, B, a byte each. */
  readonly rawvideo: 'rgb24'
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
}
