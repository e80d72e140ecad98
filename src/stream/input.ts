import type { Backend, GpuPixels, PictureReader, PixelsSize } from '../backend/backend.ts'
import { checkArray, checkPixels, describe, type NdArray } from '../base/array.ts'
import { messageOf, TrecvitError } from '../base/error.ts'
import { classOf } from '../base/realm.ts'
import type { Picture } from '../video/browser/types.ts'

/**
 * One picture: an array of the model's size; or a decoded frame, ImageData, VideoFrame,
 * ImageBitmap, canvas, `<img>`, `<video>` or a VideoSample of mediabunny, of any size.
 */
export type FrameLike = NdArray | Picture

/** Pixels of the model's size. */
export type Pixels = Uint8Array | Float32Array

/** Pixels in the memory of the CPU or of a GPU. */
export type AnyPixels = Pixels | GpuPixels

type Pictures = typeof import('../video/browser/pictures.ts')
let loaded: Pictures | undefined

/**
 * Returns the module that reads pictures. It is imported at the first call.
 * @throws TrecvitError where dynamic imports are not allowed
 */
export async function loadPictures(): Promise<Pictures> {
  loaded ??= await import('../video/browser/pictures.ts').catch((cause) => {
    throw new TrecvitError(
      'Reading a picture needs a dynamic import, which is not allowed here; push an array, ' +
        'as toPixels of "trecvit/video" returns',
      { cause },
    )
  })
  return loaded
}

/**
 * Returns the pixels [b, height, width, 3] of one step of b videos, or a promise of them. A picture
 * is read before this function returns, so the caller may close it.
 * @param backend reads pictures if it can; without one they are read by the CPU
 * @throws TrecvitError, or rejects with one, if the frame is of no known kind, cannot be read, is
 * an array of another size, or has float32 values outside 0..1
 */
export function toInput(
  frame: FrameLike,
  b: number,
  imageSize: readonly [number, number],
): Pixels | Promise<Pixels>
export function toInput(
  frame: FrameLike,
  b: number,
  imageSize: readonly [number, number],
  backend: Backend | undefined,
): AnyPixels | Promise<AnyPixels>
export function toInput(
  frame: FrameLike,
  b: number,
  [height, width]: readonly [number, number],
  backend?: Backend,
): AnyPixels | Promise<AnyPixels> {
  if (frame === null || typeof frame !== 'object' || !('shape' in frame || isPicture(frame))) {
    throw new TrecvitError(
      'A frame expected an array { data, shape }, a decoded frame, an ImageData or another ' +
        `picture of a page, got ${describe(frame)}`,
    )
  }
  if ('shape' in frame) {
    const pixels = checkArray('frame', frame)
    const expected = [height, width, 3]
    const fits =
      String(frame.shape) === String([b, ...expected]) ||
      (b === 1 && String(frame.shape) === String(expected))
    if (!fits)
      throw new TrecvitError(
        `A frame expected shape [${b === 1 ? '' : `${b},`}${expected}], got [${frame.shape}]; ` +
          'resize it, or pass a picture of any size',
      )
    checkPixels('frame', pixels)
    return pixels
  }
  if (b !== 1)
    throw new TrecvitError(
      `A stream of ${b} videos expected an array of shape [${[b, height, width, 3]}], ` +
        `got one ${describe(frame)}`,
    )
  const shape = { height, width }
  const reader = backend?.pictureReader?.(shape)
  return loaded && !(reader instanceof Promise)
    ? loaded.pixelsOf(frame, shape, reader)
    : readFirst(frame, shape, reader)
}

/** Classes that `drawImage` accepts. */
const DRAWABLE = /^(HTML(Image|Canvas|Video)Element|ImageBitmap|OffscreenCanvas)$/

/** Whether a frame is a picture, of any size. */
export function isPicture(frame: object): frame is Picture {
  return (
    'planes' in frame ||
    'copyTo' in frame ||
    ('data' in frame && 'width' in frame) ||
    DRAWABLE.test(classOf(frame))
  )
}

/** Copies a picture, then imports the modules that read it. */
async function readFirst(
  picture: Picture,
  shape: PixelsSize,
  reader: PictureReader | Promise<PictureReader> | undefined,
): Promise<AnyPixels> {
  // What cannot be copied is read below, which finds out why.
  const kept = await Promise.resolve(keep(picture)).catch(() => picture)
  try {
    const [pictures, opened] = await Promise.all([loadPictures(), reader])
    return await pictures.pixelsOf(kept, shape, opened)
  } catch (error) {
    if (error instanceof TrecvitError) throw error
    throw new TrecvitError(`The picture cannot be read (${messageOf(error)})`, { cause: error })
  } finally {
    if (kept !== picture && 'close' in kept) kept.close()
  }
}

/**
 * Copies a picture that the caller may change or close. Returns the picture itself if it cannot be
 * copied.
 */
function keep(picture: Picture): Picture | Promise<Picture> {
  try {
    if ('planes' in picture) return picture
    if ('clone' in picture) return picture.clone() ?? picture
    if ('data' in picture)
      return { width: picture.width, height: picture.height, data: picture.data.slice() }
    return 'videoWidth' in picture && typeof VideoFrame === 'function'
      ? new VideoFrame(picture)
      : createImageBitmap(picture)
  } catch {
    return picture
  }
}
