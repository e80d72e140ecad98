/**
 * Opens files that FFmpeg demuxes, with the ffmpeg process or FFmpeg in WebAssembly.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { type DecoderOptions, furthest } from '../decoder/decoders.ts'
import { DecoderFault } from '../decoder/track.ts'
import { onServer } from '../source/openMedia.ts'
import { FileVideo } from './fileVideo.ts'
import { subject } from './formats.ts'
import { openByProcess } from './processReader.ts'
import type { Job, OpenReader } from './reader.ts'

/**
 * Opens a file with the first reader that can decode its first picture.
 * @throws TrecvitError if the file is damaged, has no video, or no reader supports it
 */
export async function openFile(job: Job, options: DecoderOptions): Promise<FileVideo> {
  const { media, format, signal } = job
  const faults: DecoderFault[] = []
  for (const [name, open] of readers(job, options)) {
    try {
      return await begin(job, name, open, faults)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DecoderFault)) throw error
      faults.push(error)
      // A stream can be read only once.
      if (media.read === null && error.progress === 'decoding') break
    }
  }
  const { message, progress } = furthest(faults)
  const advice =
    onServer() && faults.every((fault) => fault.progress === 'missing')
      ? 'install ffmpeg, or in a clone, npm run build:decoder'
      : progress === 'missing'
        ? 'give the address of decoder.wasm as decoderUrl'
        : CONVERT
  throw new TrecvitError(
    `${subject(media, format)}, which cannot be read (${message}): ${advice}`,
    {
      cause: new AggregateError(faults),
    },
  )
}

async function begin(
  job: Job,
  name: string,
  open: OpenReader,
  faults: readonly DecoderFault[],
): Promise<FileVideo> {
  const reader = await open(job)
  try {
    const first = await reader.next()
    if (first === null) throw new DecoderFault('it has no picture')
    const reasons = new Set(faults.map(({ message }) => message))
    const note = reasons.size > 0 ? ` (${[...reasons].join('; ')})` : ''
    return new FileVideo(job, reader, first, name + note)
  } catch (error) {
    await reader.close()
    throw error
  }
}

/** Returns the readers to try, the fastest first. */
function readers(job: Job, { choice, url }: DecoderOptions): [name: string, open: OpenReader][] {
  if (choice === 'native')
    throw new TrecvitError(
      `${subject(job.media, job.format)}, which only the decoders "ffmpeg" and "wasm" read: ` +
        'use decoder "auto"',
    )
  const wasm: [string, OpenReader] = [
    'FFmpeg in WebAssembly',
    async (job) =>
      job.format.demuxer === 'webp'
        ? (await import('./stillReader.ts')).openStill(job, url)
        : (await import('./wasmReader.ts')).openByWasm(job, url),
  ]
  if (choice === 'wasm') return [wasm]
  if (onServer()) return choice === 'ffmpeg' ? [PROCESS] : [PROCESS, wasm]
  if (choice === 'ffmpeg')
    throw new TrecvitError('The decoder "ffmpeg" needs Node, Deno or Bun: use "auto" in a browser')
  return [wasm]
}

const PROCESS: [string, OpenReader] = ['ffmpeg', openByProcess]
