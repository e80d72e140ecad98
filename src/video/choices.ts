/**
 * Options for opening a video. They are separate from the readers, so that public types do not
 * depend on types of other packages.
 */

/** A file or stream that can be opened as a video. */
export type VideoSource =
  | string
  | URL
  | Blob
  | ArrayBuffer
  | Uint8Array
  | ReadableStream<Uint8Array>

/**
 * The decoder. `auto` is the best one that works, `native` is WebCodecs (in Node the package
 * node-webcodecs), `ffmpeg` is the system's ffmpeg, `wasm` is FFmpeg in WebAssembly.
 */
export type DecoderChoice = 'auto' | 'native' | 'ffmpeg' | 'wasm'

/** Format of raw RGB bytes without a header. */
export interface RawFormat {
  /** Interleaved R, G, B, one byte each. */
  readonly rawvideo: 'rgb24'
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
}
