/**
 * Converts a picture of a browser to a frame and to the pixels of a model. Loaded with the first
 * picture that is not an array.
 */
import type { GpuPixels, PictureReader } from '../../backend/backend.ts'
import { describe } from '../../base/array.ts'
import { TrecvitError } from '../../base/error.ts'
import { asBytes } from '../../base/realm.ts'
import { checkSize, type Frame, RGB } from '../frame.ts'
import { type PixelsShape, toPixels } from '../pixels/pixels.ts'
import { readByGpu } from './byGpu.ts'
import { cloned, sizeOf, toTrecvitError } from './pictureSource.ts'
import { copyFrame } from './planes.ts'
import type { Drawable, ImageDataLike, Picture, VideoElement, VideoFrameLike } from './types.ts'

export { toPixels }

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
  const size = sizeOf(picture)
  return 'videoWidth' in picture && typeof VideoFrame !== 'undefined'
    ? frameOfVideo(() => new VideoFrame(picture as VideoElement))
    : drawn(picture, size)
}

/**
 * Returns the pixels [height, width, 3] of a picture, as `toPixels` does for a frame.
 * @param reader reads pictures whose pixels are not in the memory of the CPU
 * @throws TrecvitError as `frameOf` does
 */
export function pixelsOf(
  picture: Picture,
  shape: PixelsShape,
  reader?: PictureReader,
): Uint8Array | GpuPixels | Promise<Uint8Array> {
  const read = reader && readByGpu(picture, shape, reader)
  if (read) return read
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
    throw toTrecvitError(error)
  } finally {
    frame?.close()
  }
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
    throw toTrecvitError(error)
  }
}
