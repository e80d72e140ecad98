/**
 * Reads the sampled frames of a file.
 */
import type { VideoSource } from './choices.ts'
import type { Frame } from './frame.ts'
import { type OpenOptions, openVideo } from './open.ts'
import { type SampleOptions, sample } from './sample.ts'

/** Options for reading frames from a file: how to open it, and which frames to sample. */
export interface ReadOptions extends SampleOptions, Omit<OpenOptions, keyof SampleOptions> {
  /**
   * Called with each warning about the video, such as damage. By default, methods of a model report
   * it to the listeners of 'warning', and `readFrames` ignores it.
   */
  readonly onWarning?: (warning: string) => void
}

/**
 * Opens a video, yields the sampled frames, and closes it.
 * @throws TrecvitError as `openVideo` and `sample` do
 * @example
 * for await (const frame of readFrames('clip.mp4', { fps: 5, decoder: 'wasm' })) { }
 */
export async function* readFrames(
  source: VideoSource | readonly VideoSource[],
  options: ReadOptions = {},
): AsyncGenerator<Frame, void, undefined> {
  const { start, fps, stride, frames, onWarning, ...opening } = options
  const video = await openVideo(source, opening)
  let reported = 0
  const report = (): void => {
    for (; reported < video.warnings.length; reported++) onWarning?.(video.warnings[reported]!)
  }
  try {
    const sampled = sample(video, {
      ...(start !== undefined && { start }),
      ...(fps !== undefined && { fps }),
      ...(stride !== undefined && { stride }),
      ...(frames !== undefined && { frames }),
    })
    for await (const frame of sampled) {
      report()
      yield frame
    }
    report()
  } finally {
    await video.close()
  }
}
