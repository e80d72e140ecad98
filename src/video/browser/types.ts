/**
 * Pictures as browsers and mediabunny have them. Types of lib.dom are looked up in the program that
 * uses them, so that programs for servers need no lib.dom.
 */
import type { Frame } from '../frame.ts'

/** The instances of a global class, or never where the program does not know it. */
type Global<Name extends string> =
  typeof globalThis extends Record<Name, { readonly prototype: infer Instance }> ? Instance : never

/** Colour tags of a WebCodecs frame. null: not told. */
export interface ColorSpaceLike {
  readonly matrix?: string | null | undefined
  readonly fullRange?: boolean | null | undefined
}

/** A `VideoFrame` of WebCodecs or a `VideoSample` of mediabunny. */
export interface VideoFrameLike {
  /** WebCodecs' name of the layout; null where the browser keeps the planes to itself. */
  readonly format: string | null
  /** The part of the planes that is shown. */
  readonly visibleRect: {
    /** Pixels. */
    readonly width: number
    /** Pixels. */
    readonly height: number
  } | null
  /** Colour tags. */
  readonly colorSpace: ColorSpaceLike
  /** Microseconds; seconds of a VideoSample. */
  readonly timestamp: number
  /** Bytes that `copyTo` writes. */
  allocationSize(options?: { readonly format: 'RGBA' }): number
  /** Copies the planes; returns where each begins. */
  copyTo(
    destination: Uint8Array,
    options?: { readonly format: 'RGBA' },
  ): Promise<
    readonly {
      /** Byte where a plane begins. */
      readonly offset: number
      /** Bytes from one row of it to the next. */
      readonly stride: number
    }[]
  >
  /** Returns a second reference to the same picture. */
  clone(): VideoFrameLike | null
  /** Frees the picture. */
  close(): void
}

/** An ImageData of a canvas: RGBA bytes. */
export interface ImageDataLike {
  /** RGBA, 4·width·height bytes. */
  readonly data: Uint8ClampedArray
  /** Pixels. */
  readonly width: number
  /** Pixels. */
  readonly height: number
}

/** What a canvas draws: its pixels are the browser's own conversion. */
export type Drawable =
  | Global<'ImageBitmap'>
  | Global<'HTMLImageElement'>
  | Global<'HTMLCanvasElement'>
  | Global<'OffscreenCanvas'>

/** One picture of any size. */
export type Picture =
  | Frame
  | ImageDataLike
  | VideoFrameLike
  | Global<'VideoFrame'>
  | Global<'HTMLVideoElement'>
  | Drawable

/** A camera's, a screen's or a canvas's MediaStreamTrack. */
export type Track = Global<'MediaStreamTrack'>
export type VideoElement = Global<'HTMLVideoElement'>
export type MediaStreamOfPage = Global<'MediaStream'>
