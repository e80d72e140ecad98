/**
 * Opens the video that the options of a command describe.
 */
import { TrecvitError } from '../base/error.ts'
import { yieldToEventLoop } from '../platform/platform.ts'
import type { Frame } from '../video/frame.ts'
import type { VideoInfo } from '../video/video.ts'
import type { VideoOptions } from './options.ts'
import { note } from './terminal.ts'

/** A video that is being read. */
export interface InputVideo {
  readonly info: VideoInfo
  /** Expected number of frames, or null if unknown. */
  readonly expected: number | null
  /**
   * Frames as the options request them. They end without an error if the signal is aborted, or if
   * the video breaks off after its first frame.
   */
  readonly frames: AsyncIterable<Frame>
  /** Why the frames ended early, or null. */
  broken(): TrecvitError | null
  close(): Promise<void>
}

/**
 * Opens a path, a URL, or "-" for standard input.
 * @throws TrecvitError if it cannot be read as a video
 */
export async function openInput(
  source: string | URL,
  options: VideoOptions,
  signal: AbortSignal,
): Promise<InputVideo> {
  const { openVideo, sample } = await import('../video/index.ts')
  const video = await openVideo(source === '-' ? await standardInput() : source, {
    signal,
    decoder: options.decoder,
    onError: options.onError,
    pixelAspect: options.pixelAspect,
    ...(options.raw && {
      format: { rawvideo: 'rgb24', width: options.raw[0], height: options.raw[1] },
    }),
    ...(options.rate !== undefined && { fps: options.rate }),
  })
  const { fps, stride, frames } = options
  let written = 0
  /** Prints warnings, also those that are only known at the end of the video. */
  const warn = (): void => {
    if (options.quiet) return
    for (; written < video.warnings.length; written++) note(`warning: ${video.warnings[written]}`)
  }
  warn()
  let broken: TrecvitError | null = null
  async function* read(): AsyncGenerator<Frame> {
    let count = 0
    try {
      for await (const frame of sample(video, sampling)) {
        if (signal.aborted) return
        yield frame
        count++
        // Yields to the event loop: Ctrl-C would not be noticed while frames are available at once.
        await yieldToEventLoop()
      }
      warn()
    } catch (error) {
      if (signal.aborted) return
      if (count === 0 || !(error instanceof TrecvitError)) throw error
      broken = error
    }
  }
  const sampling = {
    ...(fps !== undefined && { fps }),
    ...(stride !== undefined && { stride }),
    ...(frames !== undefined && { frames }),
  }
  return {
    info: video.info,
    expected: expectedFrames(video.info, options),
    frames: read(),
    broken: () => broken,
    close: () => video.close(),
  }
}

async function standardInput(): Promise<ReadableStream<Uint8Array>> {
  const { Readable } = await import('node:stream')
  return Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>
}

function expectedFrames(info: VideoInfo, { fps, stride = 1, frames }: VideoOptions): number | null {
  const all =
    fps !== undefined
      ? info.duration && info.duration * fps
      : (info.frames ?? (info.duration && info.fps && info.duration * info.fps))
  if (!all) return frames ?? null
  return Math.min(Math.ceil(all / stride), frames ?? Infinity)
}
