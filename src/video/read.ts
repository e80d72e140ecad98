/**
 * From a file to the frames that are looked at.
 */
import type { VideoSource } from './choices.ts'
import type { Frame } from './frame.ts'
import { type OpenOptions, openVideo } from './open.ts'
import { type SampleOptions, sample } from './sample.ts'

/** How frames are read from a file: how it is opened, and which of its frames are taken. */
export interface ReadOptions extends SampleOptions, Omit<OpenOptions, keyof SampleOptions> {}

/**
 * Opens a video, gives the frames that are sampled, and closes it.
 * @throws TrecvitError as `openVideo` and `sample` do
 * @example
 * for await (const frame of readFrames('clip.mp4', { fps: 5, decoder: 'wasm' })) { }
 */
export async function* readFrames(
  source: VideoSource | readonly VideoSource[],
  options: ReadOptions = {},
): AsyncGenerator<Frame, void, undefined> {
  const { start, fps, stride, frames, ...opening } = options
  const video = await openVideo(source, opening)
  try {
    yield* sample(video, {
      ...(start !== undefined && { start }),
      ...(fps !== undefined && { fps }),
      ...(stride !== undefined && { stride }),
      ...(frames !== undefined && { frames }),
    })
  } finally {
    await video.close()
  }
}
