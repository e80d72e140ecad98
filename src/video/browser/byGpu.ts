/** Reads pictures of a page on a GPU, without copying them to the memory of the CPU. */
import type { GpuPixels, PictureReader } from '../../backend/backend.ts'
import { describe } from '../../base/array.ts'
import { checkSize } from '../frame.ts'
import { coveringSize, type PixelsShape } from '../pixels/pixels.ts'
import { cloned, sizeOf, toTrecvitError } from './pictureSource.ts'
import type { Drawable, Picture, VideoElement, VideoFrameLike } from './types.ts'

/** A VideoSample of mediabunny. */
interface Sample extends VideoFrameLike {
  toVideoFrame(): VideoFrame
}

/**
 * Returns the pixels of a picture in the memory of a GPU. The picture is read before this function
 * returns. Null if the CPU has to read it: its pixels are in the memory of the CPU, it is rotated,
 * it is too large for a texture, or the browser cannot copy its kind to one.
 * @throws TrecvitError if the picture is closed, not loaded, or from another origin
 */
export function readByGpu(
  picture: Picture,
  { height, width }: PixelsShape,
  reader: PictureReader,
): GpuPixels | null {
  if ('planes' in picture || 'data' in picture) return null
  let frame: VideoFrame | undefined
  try {
    if ('copyTo' in picture) frame = videoFrameOf(cloned(picture as VideoFrameLike))
    const [columns, rows] = frame
      ? [frame.displayWidth, frame.displayHeight]
      : sizeOf(picture as Drawable | VideoElement)
    checkSize(`The ${describe(picture)}`, columns, rows)
    if ('videoWidth' in picture && typeof VideoFrame === 'function')
      frame = new VideoFrame(picture as HTMLVideoElement)
    if (isTurned(picture) || (frame && isTurned(frame))) return null
    if (Math.max(columns, rows) > reader.maxSide) return null
    // The pixels of a frame may not be square. Their proportions are ignored, as the CPU does.
    const stored = frame?.visibleRect ?? { width: columns, height: rows }
    const [fullWidth, fullHeight] = coveringSize(stored.width, stored.height, { height, width })
    return reader.read(frame ?? picture, {
      columns,
      rows,
      scaleX: columns / fullWidth,
      scaleY: rows / fullHeight,
      left: Math.floor((fullWidth - width) / 2),
      top: Math.floor((fullHeight - height) / 2),
    })
  } catch (error) {
    // Firefox copies no VideoFrame and no <video> to a texture.
    if (error instanceof TypeError) return null
    throw toTrecvitError(error)
  } finally {
    frame?.close()
  }
}

/** Whether a VideoFrame or a VideoSample is stored rotated or mirrored, where it says so. */
function isTurned(picture: object): boolean {
  const { rotation, flip } = picture as { readonly rotation?: number; readonly flip?: boolean }
  return Boolean(rotation || flip)
}

/**
 * Returns the frame of WebCodecs, in place of one of mediabunny.
 * @throws TypeError if a sample cannot become one
 */
function videoFrameOf(frame: VideoFrameLike): VideoFrame {
  if (!('toVideoFrame' in frame)) return frame as VideoFrame
  try {
    return (frame as Sample).toVideoFrame()
  } catch (cause) {
    throw new TypeError('The sample is no VideoFrame', { cause })
  } finally {
    frame.close()
  }
}
