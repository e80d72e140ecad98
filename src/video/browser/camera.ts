/**
 * Frames of a camera or a screen. The browser asks the user for permission.
 */
import { messageOf, TrecvitError } from '../../base/error.ts'
import { checkOptions } from '../../base/options.ts'
import type { Live, LiveOptions } from './live.ts'
import { liveOf } from './track.ts'
import type { MediaStreamOfPage } from './types.ts'

/** Options for a camera or a screen. */
export interface CameraOptions extends LiveOptions {
  /**
   * Constraints on the source: size, `frameRate`, `facingMode`, `deviceId`. Default: 640 × 480 for
   * a camera, and none for a screen.
   */
  readonly video?: MediaTrackConstraints
}

/** Frames of a camera or a screen. */
export interface Camera extends Live {
  /** The stream, for the `srcObject` of a `<video>` that shows it. */
  readonly stream: MediaStreamOfPage
}

/**
 * Opens a camera. The browser asks the user for permission. Leaving the loop, an error, `close` and
 * the signal turn the camera off.
 * @throws TrecvitError if access is denied, no camera exists, it is in use, or the page is not
 * secure
 * @throws the reason of the signal, if it is aborted
 * @example
 * const view = await camera()
 * document.querySelector('video').srcObject = view.stream
 * for await (const { top } of stream.run(view)) console.log(top[0].label)
 */
export function camera(options: CameraOptions = {}): Promise<Camera> {
  return open('camera', options)
}

/**
 * Opens a screen, window or tab that the user chooses. Otherwise like `camera`.
 * @throws TrecvitError if access is denied, or the page is not secure
 * @throws the reason of the signal, if it is aborted
 * @example
 * const view = await screenCapture()
 * for await (const { top } of stream.run(view)) console.log(top[0].label)
 */
export function screenCapture(options: CameraOptions = {}): Promise<Camera> {
  return open('screen', options)
}

async function open(kind: 'camera' | 'screen', options: CameraOptions): Promise<Camera> {
  checkOptions(kind === 'camera' ? 'camera' : 'screenCapture', options, {
    video: 1,
    queue: 1,
    signal: 1,
  })
  options.signal?.throwIfAborted()
  const devices = mediaDevices(kind)
  const request =
    kind === 'camera'
      ? devices.getUserMedia({ video: options.video ?? { width: 640, height: 480 } })
      : devices.getDisplayMedia({ video: options.video ?? true })
  const stream = await unlessAborted(request, options.signal).catch((error: unknown) => {
    if (options.signal?.aborted) throw error
    throw refused(kind, error)
  })
  const stop = (): void => {
    for (const track of stream.getTracks()) track.stop()
  }
  try {
    const live = liveOf(stream.getVideoTracks()[0]!, options, stop)
    return Object.assign(live, { stream })
  } catch (error) {
    stop()
    throw error
  }
}

/** @throws TrecvitError if the page has no media devices */
function mediaDevices(kind: string): MediaDevices {
  const { navigator, document, isSecureContext } = globalThis as Partial<typeof globalThis>
  if (navigator?.mediaDevices) return navigator.mediaDevices
  throw new TrecvitError(
    isSecureContext === false
      ? `The ${kind} needs a secure page: open it with https://, or at localhost`
      : document
        ? `This browser has no access to the ${kind}: use another one`
        : `The ${kind} can be asked for only in a page: open it there, and send frames to a worker`,
  )
}

/**
 * Returns the browser's stream, or rejects with the reason of the signal. A stream that arrives
 * after the abort is stopped.
 */
function unlessAborted(
  request: Promise<MediaStream>,
  signal: AbortSignal | undefined,
): Promise<MediaStream> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal!.reason)
      request.then(
        (stream) => stream.getTracks().forEach((track) => track.stop()),
        () => {},
      )
    }
    signal?.addEventListener('abort', abort, { once: true })
    request.then(resolve, reject).finally(() => signal?.removeEventListener('abort', abort))
  })
}

function refused(kind: 'camera' | 'screen', cause: unknown): TrecvitError {
  const { name, constraint } = cause as { name?: string; constraint?: string }
  const why: Readonly<Record<string, string>> = {
    NotAllowedError: 'is not allowed for this page: allow it in the address bar and try again',
    NotFoundError: 'was not found: connect one and try again',
    NotReadableError: 'is in use by another program, or broken: close that program and try again',
    OverconstrainedError: `cannot do what "video" asks for ("${constraint}"): ask for less`,
  }
  const text = why[name ?? ''] ?? `cannot be used (${messageOf(cause)})`
  return new TrecvitError(`The ${kind} ${text}`, { cause })
}
