/**
 * Decodes the videos of requests, each in its own thread. A slow upload then delays no other
 * request, and a decoder that hangs is ended with its thread.
 */
import { TrecvitError } from '../../base/error.ts'
import type { FromThread, ToThread, VideoTask } from './decode.ts'
import { Threads } from './threads.ts'

/** Milliseconds for a thread to end by itself after the last frame was read. */
const GRACE = 500

/** Properties of a video, then its frames. */
export type VideoPart = Extract<FromThread, { info: unknown } | { frame: unknown }>

/** Decodes the videos of a server. */
export interface Videos {
  /**
   * Decodes a video. When the caller leaves the loop, decoding ends and everything is freed.
   * @param bytes bytes of the video
   * @throws TrecvitError if it cannot be read as a video
   * @throws the errors of `bytes` and the reason of the signal
   */
  decode(
    bytes: AsyncIterator<Uint8Array>,
    task: Pick<VideoTask, 'imageSize' | 'sampling'>,
    signal: AbortSignal,
  ): AsyncGenerator<VideoPart, void>
  end(): Promise<void>
}

/**
 * @param most largest number of concurrent videos; the server never has more
 * @param decoder name of the decoder; FFmpeg in WebAssembly is isolated in its own memory
 * @param onError called if a thread without a task fails
 */
export function openVideos(
  most: number,
  decoder: VideoTask['decoder'],
  onError: (error: unknown) => void,
): Videos {
  let threads: Threads | undefined
  return {
    async *decode(bytes, task, signal) {
      threads ??= new Threads(most, onError)
      const { port1: port, port2 } = new MessageChannel()
      const kill = new AbortController()
      const inbox = new Inbox<FromThread>()
      const post = (message: ToThread): void => port.postMessage(message)
      const feed = async (): Promise<void> => {
        const { value, done } = await bytes.next()
        post({ bytes: done ? null : value })
      }
      port.onmessage = ({ data }: MessageEvent<FromThread>) => {
        if (data === 'more bytes') feed().catch(inbox.fail)
        else inbox.put(data)
      }
      const options = { name: 'decode', transferList: [port2], signal: kill.signal }
      const work = threads.run({ ...task, decoder, port: port2 }, options)
      work.catch(inbox.fail)
      const abort = (): void => inbox.fail(signal.reason)
      signal.addEventListener('abort', abort)
      if (signal.aborted) abort()
      try {
        for (;;) {
          const message = await inbox.take()
          if (message === 'end' || message === 'more bytes') return
          if ('refused' in message) throw new TrecvitError(message.refused)
          if ('error' in message) throw message.error
          if ('frame' in message) post('frame taken')
          yield message
        }
      } finally {
        signal.removeEventListener('abort', abort)
        port.close()
        const timer = setTimeout(() => kill.abort(), GRACE)
        await work.catch(() => {})
        clearTimeout(timer)
      }
    },
    async end() {
      await threads?.end()
    },
  }
}

/** A queue of messages with one reader. */
class Inbox<T> {
  readonly #waiting: T[] = []
  #failure: { readonly why: unknown } | undefined
  #wake: () => void = () => {}

  put(message: T): void {
    this.#waiting.push(message)
    this.#wake()
  }

  /** Makes the current or next `take` throw. */
  readonly fail = (why: unknown): void => {
    this.#failure ??= { why }
    this.#wake()
  }

  async take(): Promise<T> {
    for (;;) {
      if (this.#failure) throw this.#failure.why
      const message = this.#waiting.shift()
      if (message !== undefined) return message
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
