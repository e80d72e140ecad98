import { checkArray, checkPixels, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { OptionNames } from '../base/options.ts'
import { asBytes, asUrl, isBlob, isStream } from '../base/realm.ts'
import type { VideoSource } from '../video/choices.ts'
import type { ReadOptions } from '../video/read.ts'
import { type FrameLike, isPicture } from './input.ts'

/**
 * A video: a file by path, URL, Blob, bytes or stream; a list of pictures in files; pixels [t, H,
 * W, 3] of the model's size; frames one after another; or one picture.
 */
export type FrameSource =
  | VideoSource
  | readonly VideoSource[]
  | AsyncIterable<FrameLike>
  | Iterable<FrameLike>
  | FrameLike

export const READ_OPTIONS: OptionNames<ReadOptions> = {
  decoder: 1,
  decoderUrl: 1,
  format: 1,
  signal: 1,
  onError: 1,
  pixelAspect: 1,
  onWarning: 1,
  start: 1,
  fps: 1,
  stride: 1,
  frames: 1,
}

/**
 * Returns the frames of a video. Iterables are returned unchanged.
 * @param options options for files
 * @throws TrecvitError if the source is of no known kind, or an array of another shape
 */
export function framesOf(
  source: FrameSource,
  [height, width]: readonly [number, number],
  options: ReadOptions,
): AsyncIterable<FrameLike> | Iterable<FrameLike> {
  if (isFile(source) || (Array.isArray(source) && isFile(source[0])))
    return read(source as VideoSource | readonly VideoSource[], options)
  if (source !== null && typeof source === 'object') {
    if ('shape' in source) return slices(source, [height, width, 3])
    if (Symbol.asyncIterator in source || Symbol.iterator in source)
      return source as AsyncIterable<FrameLike> | Iterable<FrameLike>
    if ('videoWidth' in source)
      throw new TrecvitError(
        'A <video> is one picture at a time: pass the address of its file, or its frames by ' +
          'fromTrack of "trecvit/video"',
      )
    if (isPicture(source)) return [source]
  }
  throw new TrecvitError(
    'A video expected a path, URL, Blob, bytes, an array [t, H, W, 3] or frames, ' +
      `got ${describe(source)}`,
  )
}

function isFile(source: unknown): boolean {
  return (
    typeof source === 'string' ||
    isStream(source) ||
    isBlob(source) ||
    Boolean(asUrl(source) ?? asBytes(source))
  )
}

async function* read(
  source: VideoSource | readonly VideoSource[],
  options: ReadOptions,
): AsyncGenerator<FrameLike> {
  const { readFrames } = await import('../video/index.ts')
  yield* readFrames(source, options)
}

/** Yields the frames of an array [t, H, W, 3]. */
function* slices(array: NdArray, shape: readonly number[]): Generator<NdArray> {
  const data = checkArray('video', array)
  const [t, ...rest] = array.shape
  if (String(rest) !== String(shape))
    throw new TrecvitError(`"video" expected shape [t,${shape}], got [${array.shape}]`)
  checkPixels('video', data)
  const size = data.length / t!
  for (let frame = 0; frame < t!; frame++)
    yield { data: data.subarray(frame * size, (frame + 1) * size), shape }
}
