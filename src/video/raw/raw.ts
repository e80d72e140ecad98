/**
 * Reads uncompressed pictures: y4m, and raw RGB bytes without a header.
 */
import { onAbort } from '../../base/abort.ts'
import { TrecvitError } from '../../base/error.ts'
import type { RawFormat } from '../choices.ts'
import { checkSize, type Frame, RGB, splitPlanes } from '../frame.ts'
import { ByteReader } from '../source/byteReader.ts'
import { capital, type Media } from '../source/media.ts'
import type { Reading } from '../video.ts'
import { readY4mFrame, readY4mHeader } from './y4m.ts'

/**
 * @throws TrecvitError if the header is not supported. Reading throws it if a picture is cut short
 */
export async function openY4m(media: Media, signal: AbortSignal): Promise<Reading> {
  const reader = new ByteReader(await media.stream(), media.size)
  const release = (): Promise<void> => reader.cancel()
  onAbort(signal, () => void release())
  const header = await readY4mHeader(reader, media.name).catch(async (error: unknown) => {
    await release()
    throw error
  })
  const { format, width, height, matrix, fullRange, siting, fps } = header
  let count = 0
  async function next(): Promise<Frame | null> {
    const data = await readY4mFrame(reader, header, count, media.name).catch(rethrow(signal))
    signal.throwIfAborted()
    if (data === null) return null
    const planes = splitPlanes(format, width, height, data)
    const time = (count++ * fps.den) / fps.num
    return { format, width, height, planes, time, matrix, fullRange, siting, rotation: 0 }
  }
  const info = {
    container: 'y4m',
    codec: format,
    width,
    height,
    rotation: 0,
    frames: null,
    duration: null,
    fps: fps.num / fps.den,
    decoder: 'none needed',
  } as const
  return { info, next, release }
}

/**
 * @param fps pictures per second
 * @throws TrecvitError if the size is out of range. Reading throws it if a picture is cut short
 */
export async function openRaw(
  media: Media,
  { width, height }: RawFormat,
  fps: number,
  signal: AbortSignal,
): Promise<Reading> {
  checkSize('The raw video', width, height)
  const bytes = width * height * 3
  const reader = new ByteReader(await media.stream(), media.size)
  const release = (): Promise<void> => reader.cancel()
  onAbort(signal, () => void release())
  let count = 0
  async function next(): Promise<Frame | null> {
    const data = await reader.take(bytes).catch(rethrow(signal))
    signal.throwIfAborted()
    if (data.length === 0) return null
    if (data.length < bytes) {
      throw new TrecvitError(
        `${capital(media.name)} is cut short: frame ${count} has ${data.length} of the ${bytes} ` +
          `bytes of ${width}x${height} rgb24, or its size is another`,
      )
    }
    const planes = [{ data, stride: width * 3 }]
    return { format: 'rgb24', width, height, planes, time: count++ / fps, rotation: 0, ...RGB }
  }
  const frameCount = media.size === null ? null : Math.floor(media.size / bytes)
  const duration = frameCount === null ? null : frameCount / fps
  const info = {
    container: 'rawvideo',
    codec: 'rgb24',
    width,
    height,
    rotation: 0,
    frames: frameCount,
    duration,
    fps,
    decoder: 'none needed',
  } as const
  return { info, next, release }
}

/**
 * Returns an error handler. After an abort, a stream may fail with its own error, but the reason of
 * the signal is thrown.
 */
function rethrow(signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    signal.throwIfAborted()
    throw error
  }
}
