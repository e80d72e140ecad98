/**
 * Decoding by the system's ffmpeg, as a child process: packets go in as Matroska, exact planes come out as y4m.
 */
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { EncodedVideoPacketSource, MkvOutputFormat, Output, StreamTarget, type VideoCodec } from 'mediabunny'
import { TrecvitError } from '../error.ts'
import { builtinModule } from '../platform/platform.ts'
import { ByteReader } from './byteReader.ts'
import { splitPlanes } from './frame.ts'
import { Clock, DecoderFault, isHidden, type Decoded, type Track } from './track.ts'
import { readY4mFrame, readY4mHeader } from './y4m.ts'

/**
 * showinfo reports the size of each picture (ffmpeg scales a changed one in silence); setpts and -r take a picture's number for its time,
 * so that none is doubled or dropped; -xerror stops at the first damage.
 */
const ARGUMENTS: readonly string[] = [
  ...['-hide_banner', '-nostats', '-loglevel', 'level+info', '-xerror', '-noautorotate', '-f', 'matroska', '-i', 'pipe:0', '-map', '0:v:0'],
  ...['-vf', 'showinfo=checksum=0,setpts=N/25/TB', '-r', '25', '-strict', '-1', '-f', 'yuv4mpegpipe', 'pipe:1'],
]
const OUTPUT = 'the output of ffmpeg'

/**
 * Every picture of the track, in order of presentation.
 * @throws DecoderFault when there is no ffmpeg, it cannot decode the stream, or it reports damage
 */
export async function* decodeFfmpeg(track: Track, signal: AbortSignal): AsyncGenerator<Decoded> {
  if (track.kind === 'mjpeg') throw new DecoderFault('mediabunny cannot pack Motion JPEG for ffmpeg')
  const child = await start()
  const kill = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', kill)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const log = new Log(child.stderr)
  const reader = new ByteReader(chunks(child.stdout))
  const clock = new Clock()
  const fed = feed(track, child.stdin, clock).catch((error: unknown) => {
    kill()
    return error
  })
  /** What went wrong, once ffmpeg has ended. */
  const check = async (): Promise<void> => {
    const code = await ended
    signal.throwIfAborted()
    if (code === 0) return
    const fault = await fed
    if (fault instanceof TrecvitError) throw fault
    throw new DecoderFault(`ffmpeg reports ${log.error ?? `exit code ${code}`}`, { cause: fault })
  }
  const orCheck = async (error: Error): Promise<never> => {
    await check()
    throw new DecoderFault(error.message, { cause: error })
  }
  try {
    const header = await readY4mHeader(reader, OUTPUT).catch(orCheck)
    for (let index = 0; ; index++) {
      const data = await readY4mFrame(reader, header, index, OUTPUT).catch(orCheck)
      if (data === null) return await check()
      signal.throwIfAborted()
      const size = await log.nextSize()
      // To a video of very few pictures, ffmpeg may add the last one again; showinfo does not see that.
      if (size === null && index > 0) continue
      if (size === null) throw new DecoderFault('ffmpeg does not tell the size of a picture: 4.3 or later is needed')
      const planes = splitPlanes(header.format, header.width, header.height, data)
      // With the size before ffmpeg's scaling, so that a change is seen.
      yield { format: header.format, ...size, planes, time: clock.next() }
    }
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
    await reader.cancel()
    await ended
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

async function start(): Promise<Child> {
  const { spawn } = builtinModule('node:child_process')!
  // In a process group of its own: Ctrl-C in a terminal is for us to handle. Should we be killed, its pipes break and it ends.
  const child = spawn('ffmpeg', ARGUMENTS, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, windowsHide: true })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(new DecoderFault(error.code === 'ENOENT' ? 'ffmpeg is not installed' : `ffmpeg cannot be started (${error.message})`, { cause: error }))
    })
  })
  return child
}

/** Matroska starts with times from 0 on: room, in seconds, for pictures that are shown before the first packet's. */
const HEADROOM = 60

async function feed(track: Track, stdin: Writable, clock: Clock): Promise<void> {
  // Writes report their own errors.
  stdin.on('error', () => {})
  const write = (data: Uint8Array): Promise<void> => new Promise((resolve, reject) => stdin.write(data, (error) => (error ? reject(error) : resolve())))
  const target = new StreamTarget(new WritableStream({ write: ({ data }: { data: Uint8Array }) => write(data) }))
  const output = new Output({ format: new MkvOutputFormat({ appendOnly: true }), target })
  const source = new EncodedVideoPacketSource(track.kind as VideoCodec)
  output.addVideoTrack(source)
  await output.start()
  let shift: number | undefined
  for await (const packet of track.packets()) {
    if (!isHidden(track, packet)) clock.add(packet.timestamp)
    shift ??= HEADROOM - packet.timestamp
    await source.add(packet.clone({ timestamp: packet.timestamp + shift }), { decoderConfig: track.config })
  }
  await output.finalize()
  stdin.end()
}

function chunks(stdout: Readable): ReadableStream<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array> = stdout[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => void stdout.destroy(),
    },
    { highWaterMark: 0 },
  )
}

/** ffmpeg's messages: sizes of pictures as showinfo tells them, and the first error. */
class Log {
  /** The first line that ffmpeg marks as an error. */
  error: string | null = null
  readonly #sizes: { width: number; height: number }[] = []
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

  /** The size of the next picture, in order; null when ffmpeg has ended without telling it. */
  async nextSize(): Promise<{ width: number; height: number } | null> {
    while (this.#sizes.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#sizes.shift() ?? null
  }

  #read(line: string): void {
    const size = /Parsed_showinfo.* n: *\d+ .* s:(\d+)x(\d+) /.exec(line)
    if (size !== null) this.#sizes.push({ width: Number(size[1]), height: Number(size[2]) })
    else if (/\[(error|fatal|panic)\]/.test(line)) this.error ??= line.replace(/\[[^\]]*\] */g, '').split('. ')[0]!.slice(0, 160)
  }
}
