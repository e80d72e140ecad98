/** The picture of a page that a stream was given: its size, a second reference, its errors. */
import { describe } from '../../base/array.ts'
import { messageOf, TrecvitError } from '../../base/error.ts'
import type { Drawable, VideoElement, VideoFrameLike } from './types.ts'

/** Lowest `readyState` of a `<video>` that has a picture. */
const HAVE_CURRENT_DATA = 2

/**
 * Returns the columns and rows of a picture that a canvas can draw.
 * @throws TrecvitError if it has no picture yet
 */
export function sizeOf(picture: Drawable | VideoElement): [width: number, height: number] {
  if ('videoWidth' in picture) {
    const { readyState, videoWidth, videoHeight } = picture as HTMLVideoElement
    if (readyState >= HAVE_CURRENT_DATA) return [videoWidth, videoHeight]
    throw new TrecvitError(
      'The <video> has no picture yet: wait for its event "loadeddata" before it is pushed',
    )
  }
  if (!('naturalWidth' in picture)) return [picture.width, picture.height]
  if (picture.complete && picture.naturalWidth > 0)
    return [picture.naturalWidth, picture.naturalHeight]
  throw new TrecvitError(
    'The <img> has no picture: await its decode() before it is pushed, and check its address',
  )
}

/**
 * Returns a second reference to a frame.
 * @throws TrecvitError if the frame is closed
 */
export function cloned(frame: VideoFrameLike): VideoFrameLike {
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

/** Returns the error of a picture that cannot be read, in our words. */
export function toTrecvitError(error: unknown): TrecvitError {
  if (error instanceof TrecvitError) return error
  return (error as Error)?.name === 'SecurityError'
    ? new TrecvitError(
        'The picture is of another origin, whose pixels this page may not read: ' +
          'set crossorigin="anonymous", and let its server allow it (CORS)',
        { cause: error },
      )
    : new TrecvitError(`The picture cannot be read (${messageOf(error)})`, { cause: error })
}
