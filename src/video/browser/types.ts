/**
 * Types of pictures in browsers and mediabunny. Types of lib.dom are taken from the program that
 * uses them, so programs for servers need no lib.dom.
 */
import type { Frame } from '../frame.ts'

/** Instances of a global class; never if the program does not declare it. */
type Global<Name extends string> =
  typeof globalThis extends Record<Name, { readonly prototype: infer Instance }> ? Instance : never

/** Colour tags of a WebCodecs frame. null: untagged. */
export interface ColorSpaceLike {
  readonly matrix?: string | null | undefined
  readonly fullRange?: boolean | null | undefined
}

/** A `VideoFrame` of WebCodecs or a `VideoSample` of mediabunny. */
export interface VideoFrameLike {
  /** WebCodecs' name of the layout; null if the browser gives no access to the planes. */
  readonly format: string | null
  /** Visible part of the planes. */
  readonly visibleRect: {
    /** Pixels. */
    readonly width: number
    /** Pixels. */
    readonly height: number
  } | null
  /** Colour tags. */
  readonly colorSpace: ColorSpaceLike
  /** Microseconds; seconds for a VideoSample. */
  readonly timestamp: number
  /** Bytes that `copyTo` writes. */
  allocationSize(options?: { readonly format: 'RGBA' }): number
  /** Copies the planes; returns the layout of each. */
  copyTo(
    destination: Uint8Array,
    options?: { readonly format: 'RGBA' },
  ): Promise<
    readonly {
      /** Byte offset of the plane. */
      readonly offset: number
      /** Bytes from one row to the next. */
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

/** Pictures that are drawn on a canvas. The browser converts their pixels to RGBA. */
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

/** A MediaStreamTrack of a camera, a screen or a canvas. */
export type Track = Global<'MediaStreamTrack'>
export type VideoElement = Global<'HTMLVideoElement'>
export type MediaStreamOfPage = Global<'MediaStream'>
