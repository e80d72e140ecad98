/** What opening a clip and reading it come to. */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { hasFfmpeg, hashesOf, hasNative, hasWasm, media } from './clips.ts'

/** Times of the frames. Hashes of planes are of no interest where times tell the pictures apart. */
export async function timesOf(source: VideoSource, options: OpenOptions = {}): Promise<number[]> {
  return (await hashesOf(await openVideo(source, options))).times.map((time) =>
    Math.round(time * 1000),
  )
}

/**
 * What opening and reading come to: frames, the sentence at the end if there is one, and the
 * warnings.
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

/** The bytes of a clip. */
export const clip = (name: string): Buffer => readFileSync(media(name))

/** node-webcodecs gives no planes of these. */
const RARE = [
  'gray10.mp4',
  'gray12.mp4',
  'twelve422.mp4',
  'rgb12.mp4',
  'twelve.webm',
  'four40.webm',
  'alpha.mov',
]
/** `cannot`: clips that a decoder refuses. The one in WebAssembly leaves out AV1 and ProRes. */
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

/** The message of the TrecvitError that opening and reading end in. */
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
