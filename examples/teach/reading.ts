/** Clips: opened at the rate of the encoder, and read as recordings. */
import { TrecvitError } from 'trecvit'
import { type Frame, openVideo, sample, type VideoInfo } from 'trecvit/video'
import { pictureOf } from '../demo/picture.ts'
import { queue } from '../demo/turns.ts'
import type { Encoder } from './encoder.ts'
import type { Recording } from './lesson.ts'
import { Thumbnail } from './thumbnail.ts'

/** Seconds of a clip that are read. */
const LONGEST = 30
/** A clip is sampled if it has this many times as many frames per second as the encoder takes. */
const TOO_FAST = 1.2
/** Opens a clip. Faster clips are sampled at the rate of the encoder. */
export async function openClip(
  file: Blob,
  { rate }: Encoder,
): Promise<{ readonly info: VideoInfo; readonly frames: AsyncIterableIterator<Frame> }> {
  const video = await openVideo(file, { decoderUrl: new URL('decoder.wasm', location.href) })
  const isFast = (video.info.fps ?? 0) > TOO_FAST * rate
  return { info: video.info, frames: sample(video, isFast ? { fps: rate } : {}) }
}

/**
 * Reads a clip as a recording.
 * @param onProgress called with the seconds read so far and the length, if it is known
 * @throws TrecvitError if it cannot be decoded, or is shorter than a window
 */
export async function readClip(
  file: File,
  encoder: Encoder,
  onProgress: (seconds: number, duration: number | null) => void,
): Promise<Omit<Recording, 'id'>> {
  const { info, frames } = await openClip(file, encoder)
  const duration = info.duration === null ? null : Math.min(LONGEST, info.duration)
  const rows: Float32Array[] = []
  const thumbnail = new Thumbnail()
  let picture: Blob | undefined
  let first: number | undefined
  let seconds = 0
  await using stream = encoder.open()
  for await (const frame of frames) {
    first ??= frame.time
    seconds = frame.time - first
    if (seconds >= LONGEST) break
    rows.push(await queue(() => encoder.encode(stream, frame)))
    if (!picture && seconds >= (duration ?? 0) / 2) {
      const bitmap = await pictureOf(frame)
      thumbnail.draw(bitmap)
      bitmap.close()
      picture = await thumbnail.encode()
    }
    if (rows.length % 10 === 1) onProgress(seconds, duration)
  }
  if (rows.length < encoder.window || !picture)
    throw new TrecvitError(
      `"${file.name}" expected at least ${encoder.window} frames, got ${rows.length}; ` +
        'add a longer clip',
    )
  return { ...joined(rows), seconds, picture }
}

/** Returns rows of features as one array. */
export function joined(rows: readonly Float32Array[]): Pick<Recording, 'data' | 'width'> {
  const width = rows[0]!.length
  const data = new Float32Array(rows.length * width)
  for (const [index, row] of rows.entries()) data.set(row, index * width)
  return { data, width }
}
