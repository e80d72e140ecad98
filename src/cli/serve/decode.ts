/**
 * Decodes a video in a thread of the server. The thread receives bytes and sends pixels through a
 * message port. Each side sends only what the other side has requested.
 */
import { once } from 'node:events'
import type { MessagePort } from 'node:worker_threads'
import { TrecvitError } from '../../base/error.ts'
import type { SampleOptions } from '../../video/sample.ts'
import type { VideoInfo } from '../../video/video.ts'

/** A video to decode. */
export interface VideoTask {
  readonly port: MessagePort
  /** Input size of the model. */
  readonly imageSize: readonly [height: number, width: number]
  readonly sampling: SampleOptions
  readonly decoder: 'wasm' | 'ffmpeg'
}

/** A frame in the input size of the model. */
export interface VideoFrame {
  /** Seconds from the first frame. */
  readonly time: number
  /** Pixels [H,W,3], 0..255. */
  readonly pixels: Uint8Array<ArrayBuffer>
}

/** A message from the thread. */
export type FromThread =
  | 'more bytes'
  | { readonly info: VideoInfo }
  | { readonly frame: VideoFrame }
  | 'end'
  | { readonly refused: string }
  | { readonly error: unknown }

/** A message to the thread: bytes of the video (null at its end), or that a frame was received. */
export type ToThread = { readonly bytes: Uint8Array | null } | 'frame taken'

/** Number of frames that are decoded in advance. */
const AHEAD = 8
/** Largest number of pixels of a frame: slightly more than 4K. */
const MAX_PIXELS = 4096 * 2304

/** Decodes the video until it ends or the port is closed. */
export async function decode(task: VideoTask): Promise<void> {
  const { port } = task
  const stop = new AbortController()
  const closed = once(port, 'close').then(() => stop.abort())
  try {
    await decodeTo(task, stop.signal)
    send(port, 'end')
  } catch (error) {
    if (stop.signal.aborted) return
    send(port, error instanceof TrecvitError ? { refused: error.message } : { error })
  }
  // The other side closes the port after it has read the last message.
  await closed
}

function send(port: MessagePort, message: FromThread, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

async function decodeTo(
  { port, imageSize: [height, width], sampling, decoder }: VideoTask,
  signal: AbortSignal,
): Promise<void> {
  const { openVideo, sample, toPixels } = await import('../../video/index.ts')
  let ahead = 0
  let onTaken: () => void = () => {}
  let onBytes: (bytes: Uint8Array | null) => void = () => {}
  port.on('message', (message: ToThread) => {
    if (message !== 'frame taken') return onBytes(message.bytes)
    ahead--
    onTaken()
  })
  signal.addEventListener('abort', () => onTaken())
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = new Promise<Uint8Array | null>((resolve) => (onBytes = resolve))
        send(port, 'more bytes')
        const bytes = await next
        if (bytes) controller.enqueue(bytes)
        else controller.close()
      },
    },
    { highWaterMark: 0 },
  )
  await using video = await openVideo(body, { signal, decoder })
  const { info } = video
  if (info.width * info.height > MAX_PIXELS)
    throw new TrecvitError(
      `A video expected frames of at most ${MAX_PIXELS} pixels, ` +
        `got ${info.width}x${info.height}; send a smaller one`,
    )
  send(port, { info })
  for await (const frame of sample(video, sampling)) {
    const pixels = toPixels(frame, { height, width }) as Uint8Array<ArrayBuffer>
    while (ahead >= AHEAD && !signal.aborted) {
      await new Promise<void>((resolve) => (onTaken = resolve))
    }
    signal.throwIfAborted()
    ahead++
    send(port, { frame: { time: frame.time, pixels } }, [pixels.buffer])
  }
}
