/**
 * Reads one PNG or JPEG picture, or a list of them, as a video.
 */
import { TrecvitError } from '../../base/error.ts'
import type { VideoSource } from '../choices.ts'
import type { Frame } from '../frame.ts'
import { capital, type Media } from '../source/media.ts'
import { openMedia } from '../source/openMedia.ts'
import type { Reading } from '../video.ts'
import { decodeImage } from './image.ts'

/**
 * @param sources pictures of one size, in order
 * @param opened the first picture, if it was already opened
 * @param fps pictures per second
 * @throws TrecvitError if a picture is missing, damaged, of another kind or size than the first
 */
export async function openImages(
  sources: readonly VideoSource[],
  opened: Media | null,
  fps: number,
  signal: AbortSignal,
): Promise<Reading> {
  if (sources.length === 0)
    throw new TrecvitError('The list of pictures is empty: give at least one')
  const first = await decodeImage(opened ?? (await openMedia(sources[0]!, signal)), 0)
  const { width, height, rotation } = uprightOf(first.frame)
  async function read(index: number): Promise<Frame> {
    signal.throwIfAborted()
    const media = await openMedia(sources[index]!, signal)
    const { frame } = await decodeImage(media, index / fps)
    const size = uprightOf(frame)
    if (size.width === width && size.height === height) return frame
    throw new TrecvitError(
      `${capital(media.name)} has ${size.width}x${size.height} pixels, ` +
        `the pictures before it ${width}x${height}: a sequence must keep its size`,
    )
  }
  let count = 0
  const { kind: codec, decoder } = first
  return {
    info: {
      container: 'images',
      codec,
      width,
      height,
      rotation,
      frames: sources.length,
      duration: sources.length / fps,
      fps,
      decoder,
    },
    async next() {
      const index = count++
      if (index === 0) return first.frame
      return index < sources.length ? read(index) : null
    },
    release() {},
  }
}

/** Returns the size of a frame after rotation. */
function uprightOf(frame: Frame): Pick<Frame, 'width' | 'height' | 'rotation'> {
  const { width, height, rotation } = frame
  const turned = rotation % 180 !== 0
  return { width: turned ? height : width, height: turned ? width : height, rotation }
}
