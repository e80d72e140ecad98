/**
 * Decoding by the system's ffmpeg, as a child process: packets go in as Matroska,
 * raw planes come out.
 */
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import {
  EncodedVideoPacketSource,
  MkvOutputFormat,
  Output,
  StreamTarget,
  type VideoCodec,
} from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import { builtinModule } from '../../platform/platform.ts'
import { checkSize, frameBytes, splitPlanes } from '../frame.ts'
import { ByteReader } from '../source/byteReader.ts'
import { webStream } from '../source/nodeStream.ts'
import { PIXEL_FORMATS, pixelFormat } from './pixelFormat.ts'
import { Clock, type Decoded, DecoderFault, firstLine, isHidden, type Track } from './track.ts'

/**
 * format converts what no frame format holds. showinfo reports format and size of each picture
 * (ffmpeg scales a changed one in silence). setpts and -r take a picture's number for its time, so
 * that none is doubled or dropped. -xerror stops at the first damage.
 */
const ARGUMENTS: readonly string[] = [
  ...['-hide_banner', '-nostats', '-loglevel', 'level+info', '-xerror', '-noautorotate'],
  ...['-f', 'matroska', '-i', 'pipe:0', '-map', '0:v:0'],
  ...['-vf', `format=${PIXEL_FORMATS.join('|')},showinfo=checksum=0,setpts=N/25/TB`],
  ...['-r', '25', '-f', 'rawvideo', 'pipe:1'],
]

/**
 * Every picture of the track, in order of presentation.
 * @throws DecoderFault when there is no ffmpeg, it cannot decode the stream, or it reports damage
 */
export async function* decodeFfmpeg(track: Track, signal: AbortSignal): AsyncGenerator<Decoded> {
  if (track.kind === 'mjpeg')
    throw new DecoderFault('mediabunny cannot pack Motion JPEG for ffmpeg', {
      progress: 'refused',
    })
  const child = await start()
  const kill = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', kill)
  if (signal.aborted) kill()
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const log = new Log(child.stderr)
  const reader = new ByteReader(webStream(child.stdout))
  const clock = new Clock()
  let closing = false
  let feedFault: unknown
  feed(track, child.stdin, clock).catch((error: unknown) => {
    feedFault = error
    if (!closing) kill()
  })
  /** Waits for the exit code. ffmpeg may be waiting for packets that never come. */
  const close = async (): Promise<number | null> => {
    closing = true
    child.stdin.destroy()
    // Node reports the end of a process only once nothing is left to read from its output.
    await reader.cancel()
    return ended
  }
  /** Called at the end of the output: throws what went wrong, if anything did. */
  const check = async (): Promise<void> => {
    const code = await close()
    signal.throwIfAborted()
    if (code === 0) return
    if (feedFault instanceof TrecvitError) throw feedFault
    const reason = log.error ?? `exit code ${code}`
    throw new DecoderFault(`ffmpeg reports ${reason}`, { cause: feedFault })
  }
  try {
    const first = await log.next()
    if (first === null) {
      await check()
      throw new DecoderFault('ffmpeg gives no picture')
    }
    const known = pixelFormat(first.format)
    if (known === null) {
      throw new DecoderFault(`ffmpeg gives the pixel format ${first.format}, which is not read`)
    }
    checkSize('A picture of ffmpeg', first.width, first.height)
    for (let picture: Picture | null = first; ; picture = await log.next()) {
      if (picture !== null && picture.format !== first.format) {
        throw new DecoderFault(`the pixel format changes from ${first.format} to ${picture.format}`)
      }
      const data = new Uint8Array(frameBytes(known.format, first.width, first.height))
      const got = await reader.fill(data)
      if (got < data.length) {
        await check()
        if (got === 0 && picture === null) return
        throw new DecoderFault(`ffmpeg ends after ${got} of the ${data.length} bytes of a picture`)
      }
      signal.throwIfAborted()
      // To a video of very few pictures, ffmpeg may add the last one again after showinfo.
      if (picture === null) continue
      const planes = splitPlanes(known.format, first.width, first.height, data)
      // With the size before ffmpeg's scaling, so that a change is seen.
      yield { ...known, width: picture.width, height: picture.height, planes, time: clock.next() }
    }
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await close()
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

async function start(): Promise<Child> {
  const { spawn } = builtinModule('node:child_process')!
  // In a process group of its own: Ctrl-C in a terminal is for us to handle. Should we be killed,
  // its pipes break and it ends.
  let child: Child
  try {
    child = spawn('ffmpeg', ARGUMENTS, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      windowsHide: true,
    })
  } catch (error) {
    // Deno, where the process may not read the environment.
    throw notStarted(error as Error)
  }
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    // Not once: an error without a listener ends the process.
    child.on('error', (error) => reject(notStarted(error)))
  })
  return child
}

function notStarted(error: NodeJS.ErrnoException): DecoderFault {
  return new DecoderFault(
    error.code === 'ENOENT'
      ? 'ffmpeg is not installed'
      : `ffmpeg cannot be started (${firstLine(error.message)})`,
    { progress: 'missing', cause: error },
  )
}

/**
 * Matroska starts with times from 0 on: room, in seconds, for pictures that are shown before the
 * first packet's.
 */
const HEADROOM = 60

async function feed(track: Track, stdin: Writable, clock: Clock): Promise<void> {
  // Writes report their own errors.
  stdin.on('error', () => {})
  const write = (data: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) =>
      stdin.write(data, (error) => (error ? reject(error) : resolve())),
    )
  const target = new StreamTarget(
    new WritableStream({ write: ({ data }: { data: Uint8Array }) => write(data) }),
  )
  const output = new Output({ format: new MkvOutputFormat({ appendOnly: true }), target })
  const source = new EncodedVideoPacketSource(track.kind as VideoCodec)
  output.addVideoTrack(source)
  await output.start()
  let shift: number | undefined
  for await (const packet of track.packets()) {
    if (!isHidden(track, packet)) clock.add(packet.timestamp)
    shift ??= HEADROOM - packet.timestamp
    await source.add(packet.clone({ timestamp: packet.timestamp + shift }), {
      decoderConfig: track.config,
    })
  }
  await output.finalize()
  stdin.end()
}

/** One picture, as showinfo reports it. */
interface Picture {
  /** FFmpeg's name of its pixel format. */
  readonly format: string
  readonly width: number
  readonly height: number
}

/** ffmpeg's messages: the pictures that showinfo reports, and the first error. */
class Log {
  /** The first line that ffmpeg marks as an error. */
  error: string | null = null
  readonly #pictures: Picture[] = []
  #text = ''
  #ended = false
  #wake = (): void => {}

  constructor(stderr: Readable) {
    stderr.setEncoding('utf8')
    stderr.on('data', (text: string) => {
      const lines = (this.#text + text).split(/[\r\n]+/)
      this.#text = lines.pop()!
      for (const line of lines) this.#read(line)
      this.#wake()
    })
    stderr.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** The next picture, in order; null when ffmpeg has ended without reporting one. */
  async next(): Promise<Picture | null> {
    while (this.#pictures.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#pictures.shift() ?? null
  }

  #read(line: string): void {
    const info = /Parsed_showinfo.* n: *\d+ .* fmt:(\w+) .* s:(\d+)x(\d+) /.exec(line)
    if (info !== null) {
      this.#pictures.push({ format: info[1]!, width: Number(info[2]), height: Number(info[3]) })
    } else if (/\[(error|fatal|panic)\]/.test(line)) {
      this.error ??= firstLine(line.replace(/\[[^\]]*\] */g, '').split('. ')[0]!)
    }
  }
}
