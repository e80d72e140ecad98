/**
 * Decodes the videos of requests, each in a thread of its own. A slow body then keeps nobody
 * waiting, and a decoder that hangs is ended with its thread.
 */
import { TrecvitError } from '../../base/error.ts'
import type { FromThread, ToThread, VideoTask } from './decode.ts'
import { Threads } from './threads.ts'

/** Milliseconds for a thread to end by itself, once nobody wants its frames. */
const GRACE = 500

/** What is known of a video, then its frames. */
export type VideoPart = Extract<FromThread, { info: unknown } | { frame: unknown }>

/** The decoder of a server. */
export interface Videos {
  /**
   * Ends early, and frees everything, when the caller leaves the loop.
   * @param bytes of the video
   * @throws TrecvitError if it is no video that can be read; what `bytes` throws; the reason of the
   * signal
   */
  decode(
    bytes: AsyncIterator<Uint8Array>,
    task: Pick<VideoTask, 'imageSize' | 'sampling'>,
    signal: AbortSignal,
  ): AsyncGenerator<VideoPart, void>
  end(): Promise<void>
}

/**
 * @param most videos at once; the server never has more
 * @param decoder FFmpeg in WebAssembly is kept in by the memory of its own
 * @param onError called when a thread fails that has no task
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

/** Messages in their order, for one reader. */
class Inbox<T> {
  readonly #waiting: T[] = []
  #failure: { readonly why: unknown } | undefined
  #wake: () => void = () => {}

  put(message: T): void {
    this.#waiting.push(message)
    this.#wake()
  }

  /** Makes `take` throw, at once. */
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
