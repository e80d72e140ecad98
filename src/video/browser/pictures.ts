/**
 * Converts a picture of a browser to a frame and to the pixels of a model. Loaded with the first
 * picture that is not an array.
 */
import { describe } from '../../base/array.ts'
import { messageOf, TrecvitError } from '../../base/error.ts'
import { asBytes } from '../../base/realm.ts'
import { checkSize, type Frame, RGB } from '../frame.ts'
import { type PixelsShape, toPixels } from '../pixels/pixels.ts'
import { copyFrame } from './planes.ts'
import type { Drawable, ImageDataLike, Picture, VideoElement, VideoFrameLike } from './types.ts'

export { toPixels }

/** Lowest `readyState` of a `<video>` that has a picture. */
const HAVE_CURRENT_DATA = 2

/**
 * Returns the frame of a picture. The picture is read or cloned before this function returns. The
 * caller still owns it, and may close or change it at once.
 * @throws TrecvitError, or rejects with one, if the picture is of an unknown kind, closed, not
 * loaded, too large, or from another origin
 */
export function frameOf(picture: Picture): Frame | Promise<Frame> {
  if ('planes' in picture) return picture
  if ('copyTo' in picture) return frameOfVideo(() => cloned(picture as VideoFrameLike))
  if ('data' in picture) return frameOfData(picture)
  if (!('videoWidth' in picture)) return drawn(picture, sizeOf(picture))
  const { readyState, videoWidth, videoHeight } = picture as HTMLVideoElement
  if (readyState < HAVE_CURRENT_DATA)
    throw new TrecvitError(
      'The <video> has no picture yet: wait for its event "loadeddata" before it is pushed',
    )
  return typeof VideoFrame === 'undefined'
    ? drawn(picture as VideoElement, [videoWidth, videoHeight])
    : frameOfVideo(() => new VideoFrame(picture as VideoElement))
}

/**
 * Returns the pixels [height, width, 3] of a picture, as `toPixels` does for a frame.
 * @throws TrecvitError as `frameOf` does
 */
export function pixelsOf(picture: Picture, shape: PixelsShape): Uint8Array | Promise<Uint8Array> {
  const frame = frameOf(picture)
  return 'then' in frame ? frame.then((one) => toPixels(one, shape)) : toPixels(frame, shape)
}

/** @param open returns the browser's frame, which is closed once it is copied */
async function frameOfVideo(open: () => VideoFrameLike): Promise<Frame> {
  let frame: VideoFrameLike | undefined
  try {
    frame = open()
    return await copyFrame(frame, 0)
  } catch (error) {
    throw explained(error)
  } finally {
    frame?.close()
  }
}

function cloned(frame: VideoFrameLike): VideoFrameLike {
  try {
    const clone = frame.clone()
    if (clone) return clone
  } catch (cause) {
    throw new TrecvitError(
      `The ${describe(frame)} is closed: close a frame after it was pushed, not before`,
      { cause },
    )
  }
  throw new TrecvitError(`The ${describe(frame)} is closed: close it after it was pushed`)
}

function frameOfData({ data: given, width, height }: ImageDataLike): Frame {
  const data = asBytes(given)
  // A float16 canvas returns a Float16Array.
  if (!data)
    throw new TrecvitError(
      `An ImageData expected bytes in a Uint8ClampedArray, got ${describe(given)}; ` +
        'ask the canvas for "rgba-unorm8"',
    )
  checkSize('The ImageData', width, height)
  const planes = [{ data, stride: 4 * width }]
  return { format: 'rgba', width, height, planes, time: 0, rotation: 0, ...RGB }
}

function sizeOf(picture: Drawable): [width: number, height: number] {
  if (!('naturalWidth' in picture)) return [picture.width, picture.height]
  if (picture.complete && picture.naturalWidth > 0)
    return [picture.naturalWidth, picture.naturalHeight]
  throw new TrecvitError(
    'The <img> has no picture: await its decode() before it is pushed, and check its address',
  )
}

let scratch: OffscreenCanvas | HTMLCanvasElement | undefined

/** Draws a picture on a canvas and reads the pixels. Transparent pixels keep their colour. */
function drawn(picture: Drawable | VideoElement, [width, height]: [number, number]): Frame {
  checkSize(`The ${describe(picture)}`, width, height)
  scratch ??=
    typeof OffscreenCanvas === 'undefined'
      ? document.createElement('canvas')
      : new OffscreenCanvas(width, height)
  if (scratch.width !== width) scratch.width = width
  if (scratch.height !== height) scratch.height = height
  const context = scratch.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
  context.clearRect(0, 0, width, height)
  try {
    context.drawImage(picture, 0, 0)
    return frameOfData(context.getImageData(0, 0, width, height))
  } catch (error) {
    // A tainted canvas would also taint later pictures.
    scratch = undefined
    throw explained(error)
  }
}

function explained(error: unknown): TrecvitError {
  if (error instanceof TrecvitError) return error
  return (error as Error)?.name === 'SecurityError'
    ? new TrecvitError(
        'The picture is of another origin, whose pixels this page may not read: ' +
          'set crossorigin="anonymous", and let its server allow it (CORS)',
        { cause: error },
      )
    : new TrecvitError(`The picture cannot be read (${messageOf(error)})`, { cause: error })
}
