/** Opens and reads clips. */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { hasFfmpeg, hashesOf, hasNative, hasWasm, media } from './clips.ts'

/** Returns the times of the frames. Used where times distinguish the pictures. */
export async function timesOf(source: VideoSource, options: OpenOptions = {}): Promise<number[]> {
  return (await hashesOf(await openVideo(source, options))).times.map((time) =>
    Math.round(time * 1000),
  )
}

/**
 * Opens and reads a video. Returns the frames, the warnings, and the final error message, if any.
 */
export async function read(
  source: VideoSource,
  options: OpenOptions = {},
): Promise<{ frames: number; error: string | null; warnings: readonly string[] }> {
  let frames = 0
  let warnings: readonly string[] = []
  try {
    const video = await openVideo(source, options)
    warnings = video.warnings
    for await (const _ of video) frames++
    return { frames, error: null, warnings }
  } catch (error) {
    expect(error).toBeInstanceOf(TrecvitError)
    return { frames, error: (error as Error).message, warnings }
  }
}

/** Returns the bytes of a clip. */
export const clip = (name: string): Buffer => readFileSync(media(name))

/** Formats that node-webcodecs does not return as planes. */
const RARE = [
  'gray10.mp4',
  'gray12.mp4',
  'twelve422.mp4',
  'rgb12.mp4',
  'twelve.webm',
  'four40.webm',
  'alpha.mov',
]
/** Decoders. `cannot` lists unsupported clips. The WebAssembly decoder has no AV1 and no ProRes. */
export const decoders = [
  {
    decoder: 'native',
    name: 'node-webcodecs',
    here: hasNative(),
    cannot: ['mjpeg.mov', 'mjpeg.mp4', ...RARE],
  },
  { decoder: 'ffmpeg', name: 'ffmpeg', here: hasFfmpeg(), cannot: ['mjpeg.mov', 'mjpeg.mp4'] },
  {
    decoder: 'wasm',
    name: 'FFmpeg in WebAssembly',
    here: hasWasm(),
    cannot: ['gray.mp4', 'gray12.mp4', 'alpha.mov'],
  },
] as const

/** Returns the message of the TrecvitError from opening or reading. */
export async function errorOf(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions = {},
): Promise<string> {
  try {
    await hashesOf(await openVideo(source, options))
  } catch (error) {
    expect(error).toBeInstanceOf(TrecvitError)
    return (error as Error).message
  }
  throw new Error('no error')
}
