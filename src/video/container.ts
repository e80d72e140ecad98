/**
 * MP4, MOV, WebM and Matroska: mediabunny takes them apart, the best decoder at hand decodes.
 */
import { EncodedPacketSink, Input, Logging, LogLevel, MATROSKA, MP4, QTFF, WEBM, type InputVideoTrack } from 'mediabunny'
import { quote } from '../checkpoint/quote.ts'
import { TrecvitError } from '../error.ts'
import { decodeBrowser, decodePlanes } from './browser.ts'
import type { DecoderChoice } from './choices.ts'
import { describeCodec } from './codec.ts'
import { decodeFfmpeg } from './ffmpeg.ts'
import { checkSize, JFIF, RGB, untaggedMatrix, type Colour, type Frame } from './frame.ts'
import { checkIsobmff } from './isobmff.ts'
import { checkMatroska } from './matroska.ts'
import { capital, onServer, type Media } from './media.ts'
import { decodeNative } from './native.ts'
import { DecoderFault, NO_MODULE, type Decoded, type Track } from './track.ts'
import type { Reading } from './video.ts'

/** Who decodes, and where the WebAssembly module is, if not beside this code. */
export interface DecoderOptions {
  readonly choice: DecoderChoice
  readonly url: string | URL | undefined
}

const CONVERT = 'convert it with ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4'

/** Motion JPEG, as QuickTime and Matroska call it. */
const MJPEG = ['jpeg', 'V_MJPEG']

/** Of a file whose size is not known: 90 hours of video. */
const MAX_FRAMES = 10_000_000

/**
 * Opens what mediabunny can read; null when it is no such container.
 * @throws TrecvitError when it is damaged, has no video, or nothing here decodes it
 */
export async function openContainer(media: Media, decoder: DecoderOptions, signal: AbortSignal): Promise<Reading | null> {
  // Its warnings would stand beside our errors, which say the same.
  if (Logging.level === LogLevel.Info) Logging.level = LogLevel.Errors
  const input = new Input({ source: media.container(), formats: [MP4, QTFF, WEBM, MATROSKA] })
  const dispose = (): void => input.dispose()
  signal.addEventListener('abort', dispose)
  try {
    if (await input.canRead()) {
      await checkIsobmff(media)
      return await openInput(input, media, await checkMatroska(media), decoder, signal)
    }
    dispose()
    return null
  } catch (error) {
    dispose()
    signal.throwIfAborted()
    throw clear(error, media)
  }
}

/** `lost`: bytes that the file is known to lack. */
async function openInput(input: Input, media: Media, lost: number, options: DecoderOptions, signal: AbortSignal): Promise<Reading> {
  const video = await input.getPrimaryVideoTrack()
  if (video === null) await refuseTracks(input, media)
  const track = await readTrack(video!, media, signal)
  const container = await containerName(input)
  const tags = await video!.getColorSpace()
  const rotation = await video!.getRotation()
  const duration = await video!.getDurationFromMetadata()
  const isoBmff = container === 'mp4' || container === 'mov'
  const count = isoBmff && (media.size !== null || duration !== null) ? await countFrames(video!, media, signal) : null
  const cut = `${capital(media.name)} is cut short: its last ${lost} bytes are missing`
  if ((await new EncodedPacketSink(video!).getFirstKeyPacket({ metadataOnly: true })) === null) {
    throw new TrecvitError(lost > 0 ? cut : `${capital(media.name)} has a video track without a picture: it is cut short or damaged`)
  }

  /** Times from the first shown picture on, colours as the file tags them, and an end that is no silent one. */
  async function* finish(decoded: AsyncGenerator<Decoded>): AsyncGenerator<Frame> {
    let first: Decoded | undefined
    let last = 0
    let shown = 0
    const named = (error: unknown): unknown => {
      if (shown === 0 || !(error instanceof DecoderFault)) return error
      return new TrecvitError(`${capital(media.name)} cannot be decoded beyond ${last.toFixed(3)} s (${error.message}): it is damaged there`, { cause: error })
    }
    for await (const picture of translate(decoded, named)) {
      first ??= picture
      if (picture.width !== first.width || picture.height !== first.height) {
        const sizes = `${first.width}x${first.height} to ${picture.width}x${picture.height}`
        throw new TrecvitError(`${capital(media.name)} changes its size from ${sizes} pixels after ${last.toFixed(3)} s: split it there, or ${CONVERT}`)
      }
      // An edit list hides what comes before time 0, here as in every player.
      if (picture.time < -1e-6) continue
      if (shown++ === 0) first = picture
      last = picture.time - first.time
      yield { ...picture, ...colourOf(tags, picture, track.kind), time: last, rotation }
    }
    if (count !== null && !(await track.hasAll(count.packets))) {
      throw new TrecvitError(`${capital(media.name)} is cut short: frames that its index names lie beyond its end`)
    }
    if (lost > 0) throw new TrecvitError(cut)
    if (shown === 0) throw new TrecvitError(`${capital(media.name)} has no picture that is shown: it is cut short or damaged`)
  }

  const { frames, first, decoder, close } = await chooseDecoder(track, media, options, signal, finish)
  const turned = rotation === 90 || rotation === 270
  return {
    info: {
      container,
      codec: track.codec.label,
      width: turned ? first.height : first.width,
      height: turned ? first.width : first.height,
      rotation,
      frames: count?.shown ?? null,
      duration,
      fps: await frameRate(video!),
      decoder,
    },
    frames,
    async release() {
      await close()
      input.dispose()
    },
  }
}

async function refuseTracks(input: Input, media: Media): Promise<never> {
  const kinds = [...new Set((await input.getTracks()).map((track) => track.type))]
  if (kinds.length > 0) throw new TrecvitError(`${capital(media.name)} has no video, only ${kinds.join(' and ')}: give a file with a video track`)
  throw new TrecvitError(`${capital(media.name)} has no index of its tracks: it was cut short, or its recording was never finished`)
}

interface CountedTrack extends Track {
  /** False when mediabunny ended, without a word, before the last of `count` packets. */
  hasAll(count: number): Promise<boolean>
}

async function readTrack(video: InputVideoTrack, media: Media, signal: AbortSignal): Promise<CountedTrack> {
  const id = String(await video.getInternalCodecId())
  const size = { codedWidth: await video.getCodedWidth(), codedHeight: await video.getCodedHeight() }
  // mediabunny has no name for it, but its packets.
  const kind = (await video.getCodec()) ?? (MJPEG.includes(id) ? 'mjpeg' : null)
  const config = kind === 'mjpeg' ? { codec: kind, ...size } : await video.getDecoderConfig()
  if (kind === null || config === null) {
    throw new TrecvitError(`${capital(media.name)} holds video of the kind ${quote(id)}; H.264, HEVC, VP8, VP9, AV1 and Motion JPEG are read: ${CONVERT}`)
  }
  checkSize(capital(media.name), size.codedWidth, size.codedHeight)
  const record = config.description === undefined ? null : bytesOf(config.description)
  const sink = new EncodedPacketSink(video)
  let read = 0
  async function* packets(): ReturnType<Track['packets']> {
    read = 0
    try {
      const start = await sink.getFirstKeyPacket()
      if (start === null) return
      for await (const packet of sink.packets(start)) {
        read++
        yield packet
      }
    } catch (error) {
      signal.throwIfAborted()
      throw clear(error, media)
    }
  }
  // A browser's decoder reads for itself: then, whether the last packet can be had.
  const hasAll = async (count: number): Promise<boolean> => (read > 0 ? read === count : (await sink.getPacket(Infinity)) !== null)
  return { input: video, kind, codec: describeCodec(kind, config.codec, record), config, packets, hasAll }
}

function bytesOf(data: AllowSharedBufferSource): Uint8Array {
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
}

async function containerName(input: Input): Promise<string> {
  const format = await input.getFormat()
  return format === MP4 ? 'mp4' : format === QTFF ? 'mov' : format === WEBM ? 'webm' : 'mkv'
}

/**
 * From the first key frame on, as decoders read.
 * @throws TrecvitError when the index names more frames than there are bytes: it might name billions
 */
async function countFrames(video: InputVideoTrack, media: Media, signal: AbortSignal): Promise<{ packets: number; shown: number }> {
  const count = { packets: 0, shown: 0 }
  const sink = new EncodedPacketSink(video)
  const start = await sink.getFirstKeyPacket({ metadataOnly: true })
  for await (const packet of sink.packets(start ?? undefined, undefined, { metadataOnly: true })) {
    count.packets++
    if (packet.timestamp >= -1e-6) count.shown++
    if (count.packets > (media.size ?? MAX_FRAMES)) throw new TrecvitError(`${capital(media.name)} has an index that names more frames than the file can hold: it is damaged`)
    // The index is in memory: without this, nothing else would have its turn.
    if (count.packets % 1000 === 0) await new Promise((resolve) => setTimeout(resolve))
    signal.throwIfAborted()
  }
  return count
}

/** From the first packets; mediabunny sees through times rounded to milliseconds. */
async function frameRate(video: InputVideoTrack): Promise<number | null> {
  const rate = await video.computeFrameRateMetrics({ targetPacketCount: 64 })
  if (rate.probedPacketCount < 2) return null
  return (rate.frameRateIsConstant ? rate.underlyingFrameRate : null) ?? rate.averageFrameRate
}

/** The file's tags, not the decoder's: decoders guess what is missing, each in its own way. */
function colourOf(tags: VideoColorSpaceInit, picture: Decoded, kind: string): Colour {
  if (picture.format === 'rgba') return RGB
  if (kind === 'mjpeg') return JFIF
  const matrices: Readonly<Record<string, Colour['matrix']>> = { bt709: 'bt709', bt470bg: 'bt601', smpte170m: 'bt601', 'bt2020-ncl': 'bt2020' }
  const rgb = picture.matrix === 'rgb' || (tags.matrix === 'rgb' && picture.format.startsWith('yuv444p'))
  return {
    matrix: rgb ? 'rgb' : (matrices[tags.matrix ?? ''] ?? untaggedMatrix(picture.height)),
    fullRange: tags.fullRange ?? rgb,
    siting: 'left',
  }
}

interface Chosen {
  /** All pictures, the first included. */
  readonly frames: AsyncGenerator<Frame>
  readonly first: Frame
  readonly decoder: string
  close(): Promise<void>
}

interface Decoder {
  readonly name: string
  decode(track: Track, signal: AbortSignal): AsyncGenerator<Decoded>
}

/**
 * Who may decode, the fastest first.
 * @throws TrecvitError when the choice is not to be had here
 */
function candidates({ choice, url }: DecoderOptions): Decoder[] {
  const wasm: Decoder = {
    name: 'FFmpeg in WebAssembly',
    async *decode(track, signal) {
      const { decodeWasm } = await import('./wasm.ts')
      yield* decodeWasm(track, signal, url)
    },
  }
  if (choice === 'wasm') return [wasm]
  if (onServer()) {
    const native: Decoder = { name: 'node-webcodecs', decode: decodeNative }
    const ffmpeg: Decoder = { name: 'ffmpeg', decode: decodeFfmpeg }
    return choice === 'native' ? [native] : choice === 'ffmpeg' ? [ffmpeg] : [native, ffmpeg, wasm]
  }
  if (choice === 'ffmpeg') throw new TrecvitError('The decoder "ffmpeg" needs Node, Deno or Bun: use "auto" in a browser')
  const browser: Decoder = { name: 'WebCodecs', decode: decodeBrowser }
  return choice === 'native' ? [browser] : [{ name: 'WebCodecs', decode: decodePlanes }, wasm, browser]
}

/** Decodes the first picture with each decoder in turn until one can. */
async function chooseDecoder(
  track: Track,
  media: Media,
  options: DecoderOptions,
  signal: AbortSignal,
  finish: (decoded: AsyncGenerator<Decoded>) => AsyncGenerator<Frame>,
): Promise<Chosen> {
  const reasons: string[] = []
  for (const { name, decode } of candidates(options)) {
    const frames = finish(decode(track, signal))
    try {
      const { value: first } = await frames.next()
      const note = reasons.length > 0 ? ` (${reasons.join('; ')})` : ''
      const close = async (): Promise<void> => void (await frames.return(undefined).catch(() => {}))
      return { frames: startWith(first!, frames), first: first!, decoder: name + note, close }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof DecoderFault)) throw error
      if (!reasons.includes(error.message)) reasons.push(error.message)
    }
  }
  const advice =
    options.choice === 'wasm' && reasons[0]!.startsWith(NO_MODULE) ? 'give its address as decoderUrl; in a clone, npm run build:decoder makes it'
    : onServer() && reasons.some((reason) => reason.endsWith('not installed')) ? 'install ffmpeg, or npm install node-webcodecs'
    : CONVERT
  throw new TrecvitError(`${capital(media.name)} (${track.codec.label}) cannot be decoded (${reasons.join('; ')}): ${advice}`)
}

async function* startWith(first: Frame, rest: AsyncGenerator<Frame>): AsyncGenerator<Frame> {
  yield first
  yield* rest
}

async function* translate<T>(items: AsyncGenerator<T>, translated: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* items
  } catch (error) {
    throw translated(error)
  }
}

function clear(error: unknown, media: Media): unknown {
  if (error instanceof TrecvitError) return error
  return new TrecvitError(`${capital(media.name)} cannot be read (${(error as Error).message.split('. ')[0]}): it may be damaged`, { cause: error })
}
