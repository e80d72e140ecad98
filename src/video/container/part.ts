/**
 * The video track of a file: its packets, and its properties before decoding.
 */
import { Input, type InputVideoTrack, MATROSKA, MP4, QTFF, type Source, WEBM } from 'mediabunny'
import { onAbort } from '../../base/abort.ts'
import { TrecvitError } from '../../base/error.ts'
import { asBytes } from '../../base/realm.ts'
import { describeCodec } from '../codec/codec.ts'
import { MOTION_JPEG, unsupported } from '../codec/kinds.ts'
import { leadingFilter } from '../codec/leading.ts'
import { readAvcSps, readHevcSps } from '../codec/sps.ts'
import { readTags, type Tags } from '../codec/tags.ts'
import type { Track } from '../decoder/track.ts'
import { checkSize, type Rotation } from '../frame.ts'
import type { Edit } from '../isobmff/edits.ts'
import { EVERYTHING, type Isobmff } from '../isobmff/file.ts'
import { noIndex } from '../isobmff/movieIndex.ts'
import { capital, type Media } from '../source/media.ts'
import { type Change, Packets } from './packets.ts'
import { clockFaults, durationOf } from './rate.ts'

/** A file, or one of several concatenated files. */
export interface Part {
  readonly video: InputVideoTrack
  readonly track: Track
  readonly container: string
  readonly tags: Tags
  /** Degrees clockwise. */
  readonly rotation: Rotation
  /** Whether pictures are mirrored before they are rotated. */
  readonly isMirrored: boolean
  /** The edit list, and the time scale of the track; null: everything from time 0 on is shown. */
  readonly edits: { readonly list: readonly Edit[]; readonly timescale: number } | null
  /** Number of frames that are shown; null: unknown. */
  readonly frames: number | null
  /** Seconds; null: unknown. */
  readonly duration: number | null
  /** Requests of the file that are not supported, as clauses. */
  readonly warnings: readonly string[]
  /**
   * Must be called after the last picture.
   * @throws TrecvitError if the file is cut short
   */
  end(): Promise<{ readonly warning: string | null; readonly next: Part | null }>
  dispose(): void
}

/** Properties that were read from the structure of a file, without mediabunny. */
export interface Known {
  readonly container: string
  /** Name of the codec, if mediabunny does not support it. */
  readonly kind?: string
  readonly matrix: number | null
  readonly siting?: number | null
  readonly isobmff?: Isobmff
  readonly cut: string | null
  change(codec: string): Change | null
  rest?(): ReturnType<Part['end']>
}

/**
 * Opens the video track that mediabunny finds in a file.
 * @throws TrecvitError if it is damaged or has no video
 */
export async function inputPart(
  media: Media,
  source: Source,
  signal: AbortSignal,
  known?: Known,
): Promise<Part> {
  const input = new Input({ source, formats: [MP4, QTFF, WEBM, MATROSKA] })
  const ignoreAbort = onAbort(signal, () => input.dispose())
  const dispose = (): void => {
    ignoreAbort()
    input.dispose()
  }
  try {
    signal.throwIfAborted()
    return { ...(await readPart(media, input, signal, known)), dispose }
  } catch (error) {
    dispose()
    signal.throwIfAborted()
    throw clear(error, media)
  }
}

async function readPart(
  media: Media,
  input: Input,
  signal: AbortSignal,
  known?: Known,
): Promise<Omit<Part, 'dispose'>> {
  const name = capital(media.name)
  const video =
    (await input.getPrimaryVideoTrack()) ?? (await refuseTracks(input, name, media.head))
  const { track, packets } = await readTrack(video, media, signal, known)
  if ((await packets.sink.getFirstKeyPacket({ metadataOnly: true })) === null) {
    throw new TrecvitError(
      `${name} ${known?.cut ?? 'has a video track without a picture: it is cut short or damaged'}`,
    )
  }
  const record = asBytes(track.config.description) ?? null
  const sps =
    record === null
      ? null
      : track.kind === 'avc'
        ? readAvcSps(record)
        : track.kind === 'hevc'
          ? readHevcSps(record)
          : null
  const tags = readTags(await video.getColorSpace(), track.config.codec, sps, {
    matrix: known?.matrix ?? null,
    siting: known?.siting ?? null,
  })
  const isobmff = known?.isobmff
  const duration =
    isobmff === undefined ? await video.getDurationFromMetadata() : durationOf(isobmff)
  return {
    video,
    track,
    container: known?.container ?? (await containerName(input)),
    tags,
    rotation: isobmff?.movie.mirror ?? (await video.getRotation()),
    isMirrored: isobmff !== undefined && isobmff.movie.mirror !== null,
    edits:
      isobmff === undefined
        ? null
        : {
            list: isobmff.movie.edits?.edits ?? EVERYTHING,
            timescale: isobmff.movie.timescale,
          },
    frames: isobmff?.shown ?? null,
    duration,
    warnings: [...tags.faults, ...(isobmff === undefined ? [] : clockFaults(isobmff))],
    async end() {
      const { warning = null, next = null } = (await known?.rest?.()) ?? {}
      if (isobmff !== undefined && !(await packets.hasAll(isobmff.packets))) {
        throw new TrecvitError(
          `${name} ${known?.cut ?? 'is cut short: frames that its index names lie beyond its end'}`,
        )
      }
      if (known?.cut) throw new TrecvitError(`${name} ${known.cut}`)
      return { warning, next }
    },
  }
}

async function refuseTracks(input: Input, name: string, head: Uint8Array): Promise<never> {
  const kinds = [...new Set((await input.getTracks()).map((track) => track.type))]
  if (kinds.length > 0)
    throw new TrecvitError(
      `${name} has no video, only ${kinds.join(' and ')}: give a file with a video track`,
    )
  throw new TrecvitError(`${name} ${noIndex(head)}`)
}

async function readTrack(
  video: InputVideoTrack,
  media: Media,
  signal: AbortSignal,
  known?: Known,
): Promise<{ track: Track; packets: Packets }> {
  const id = known?.kind ?? String(await video.getInternalCodecId())
  const size = {
    codedWidth: await video.getCodedWidth(),
    codedHeight: await video.getCodedHeight(),
  }
  const kind = MOTION_JPEG.includes(id) ? 'mjpeg' : await video.getCodec()
  const config = kind === 'mjpeg' ? { codec: kind, ...size } : await video.getDecoderConfig()
  if (kind === null || config === null) throw unsupported(media.name, id)
  checkSize(capital(media.name), size.codedWidth, size.codedHeight)
  const record = asBytes(config.description) ?? null
  const change = (): Change | null => known?.change(kind) ?? null
  const fail = (error: unknown): never => {
    signal.throwIfAborted()
    throw clear(error, media)
  }
  const packets = new Packets(video, () => leadingFilter(kind, record), change, fail)
  return {
    track: {
      input: video,
      kind,
      codec: describeCodec(kind, config.codec, record),
      config,
      isChanged: change() !== null,
      packets: (from) => packets.read(from),
    },
    packets,
  }
}

/** Returns the container of a Matroska stream. Other containers are already known. */
async function containerName(input: Input): Promise<string> {
  const format = await input.getFormat()
  return format === WEBM ? 'webm' : 'mkv'
}

/** Converts an error of a reader to a readable one. */
export function clear(error: unknown, media: Media): unknown {
  if (error instanceof TrecvitError) return error
  const reason = (error as Error).message.split('. ')[0]!
  // mediabunny keeps 32 MB of a pipe. Pictures can be larger.
  if (reason.includes('already-evicted')) {
    const need = 'has to be read again from further back than a pipe allows'
    return new TrecvitError(`${capital(media.name)} ${need}: give a file`, { cause: error })
  }
  return new TrecvitError(`${capital(media.name)} cannot be read (${reason}): it may be damaged`, {
    cause: error,
  })
}
