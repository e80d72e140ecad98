/**
 * Opens MP4, MOV, WebM and Matroska. Their structure is checked first, mediabunny demuxes them, and
 * the best available decoder decodes them.
 */
import { chooseDecoder, type DecoderOptions } from '../decoder/decoders.ts'
import { capital, type Media } from '../source/media.ts'
import { aspectOf, type Reading } from '../video.ts'
import { openPart } from './openPart.ts'
import { clear, type Part } from './part.ts'
import { Presentation } from './presentation.ts'
import { frameRate } from './rate.ts'

/**
 * Opens a container that mediabunny supports. Returns null for other files.
 * @throws TrecvitError if it is damaged, has no video, or no available decoder supports it
 */
export async function openContainer(
  media: Media,
  options: DecoderOptions,
  signal: AbortSignal,
): Promise<Reading | null> {
  const part = await openPart(media, signal)
  if (part === null) return null
  try {
    return await openTrack(media, part, options, signal)
  } catch (error) {
    part.dispose()
    signal.throwIfAborted()
    throw clear(error, media)
  }
}

async function openTrack(
  media: Media,
  part: Part,
  options: DecoderOptions,
  signal: AbortSignal,
): Promise<Reading> {
  const { video, track, rotation, frames, duration } = part
  const { num, den } = await video.getPixelAspectRatio()
  const warnings = part.warnings.map((clause) => `${capital(media.name)} ${clause}`)
  const fps = await frameRate(video)
  const { presentation, first, decoder } = await chooseDecoder(
    media.name,
    track.codec.label,
    options,
    signal,
    (decode) => new Presentation(media.name, part, warnings, decode, signal),
  )
  const turned = rotation === 90 || rotation === 270
  return {
    info: {
      container: part.container,
      codec: track.codec.label,
      width: turned ? first.height : first.width,
      height: turned ? first.width : first.height,
      rotation,
      ...aspectOf(num / den),
      frames,
      duration,
      fps,
      decoder,
    },
    warnings,
    next: () => presentation.next(),
    async release() {
      await presentation.close()
      part.dispose()
    },
  }
}
