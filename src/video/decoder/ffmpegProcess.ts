/**
 * The system's ffmpeg as a child process that writes raw planes.
 */
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { onAbort } from '../../base/abort.ts'
import { TrecvitError } from '../../base/error.ts'
import { builtinModule } from '../../platform/platform.ts'
import { checkSize, frameBytes, type Plane, splitPlanes } from '../frame.ts'
import { ByteReader } from '../source/byteReader.ts'
import { webStream } from '../source/nodeStream.ts'
import { FfmpegLog, type Picture } from './ffmpegLog.ts'
import { type PixelFormat, pixelFormat } from './pixelFormat.ts'
import { DecoderFault, firstLine } from './track.ts'

/** A decoded picture. */
export interface FfmpegPicture {
  readonly known: PixelFormat
  readonly planes: Plane[]
  readonly picture: Picture
}

/**
 * Returns the options of the output. `format` converts unsupported pixel formats. `showinfo` logs
 * format, size and time of each picture, because ffmpeg scales later pictures to the first size
 * without a message. `setpts` and `-r` use the picture number as time, so that none is repeated or
 * dropped.
 * @param formats FFmpeg's names of the accepted pixel formats
 */
export function outputArguments(formats: readonly string[]): string[] {
  return [
    ...['-vf', `format=${formats.join('|')},showinfo=checksum=0,setpts=N/25/TB`],
    ...['-r', '25', '-f', 'rawvideo', 'pipe:1'],
  ]
}

/** A running ffmpeg. */
export class FfmpegProcess {
  readonly log: FfmpegLog
  readonly #child: Child
  readonly #reader: ByteReader
  readonly #signal: AbortSignal
  readonly #ended: Promise<number | null>
  readonly #kill: () => void
  readonly #ignoreAbort: () => void
  #first: Picture | null = null
  #isClosing = false
  #feedFault: unknown

  private constructor(child: Child, signal: AbortSignal) {
    this.#child = child
    this.#signal = signal
    this.#kill = () => void child.kill('SIGKILL')
    this.#ignoreAbort = onAbort(signal, this.#kill)
    if (signal.aborted) this.#kill()
    this.#ended = new Promise((resolve) => child.once('close', resolve))
    this.log = new FfmpegLog(child.stderr)
    this.#reader = new ByteReader(webStream(child.stdout))
  }

  /**
   * Starts ffmpeg.
   * @param feed writes the input; omitted if ffmpeg opens the input itself
   * @throws DecoderFault if ffmpeg is missing
   */
  static async start(
    options: readonly string[],
    signal: AbortSignal,
    feed?: (stdin: Writable) => Promise<void>,
  ): Promise<FfmpegProcess> {
    const running = new FfmpegProcess(await start(options), signal)
    running.#pour(feed)
    return running
  }

  /**
   * Returns the next picture; null at the end.
   * @throws DecoderFault if ffmpeg reports damage or an unsupported pixel format
   */
  async next(): Promise<FfmpegPicture | null> {
    const picture = await this.log.next()
    if (this.#first === null && picture === null) {
      await this.#check()
      throw new DecoderFault('ffmpeg gives no picture')
    }
    const first = (this.#first ??= picture!)
    const known = pixelFormat(first.format)
    if (known === null)
      throw new DecoderFault(`ffmpeg gives the pixel format ${first.format}, which is not read`)
    if (picture === first) checkSize('A picture of ffmpeg', first.width, first.height)
    if (picture !== null && picture.format !== first.format)
      throw new DecoderFault(`the pixel format changes from ${first.format} to ${picture.format}`)
    const data = new Uint8Array(frameBytes(known.format, first.width, first.height))
    const got = await this.#reader.fill(data)
    if (got < data.length) {
      await this.#check()
      if (got === 0 && picture === null) return null
      throw new DecoderFault(`ffmpeg ends after ${got} of the ${data.length} bytes of a picture`)
    }
    this.#signal.throwIfAborted()
    // ffmpeg may repeat the last picture of a very short video after showinfo.
    if (picture === null) return this.next()
    return { known, planes: splitPlanes(known.format, first.width, first.height, data), picture }
  }

  #pour(feed: ((stdin: Writable) => Promise<void>) | undefined): void {
    const { stdin } = this.#child
    // Writes report their own errors.
    stdin.on('error', () => {})
    if (feed === undefined) stdin.end()
    feed?.(stdin).catch((error: unknown) => {
      this.#feedFault = error
      if (!this.#isClosing) this.#kill()
    })
  }

  /** Ends the process. */
  async close(): Promise<void> {
    this.#ignoreAbort()
    this.#kill()
    await this.#wait()
  }

  /** Waits for the exit code. Closes both pipes first, because ffmpeg may be blocked on them. */
  async #wait(): Promise<number | null> {
    this.#isClosing = true
    this.#child.stdin.destroy()
    // Node emits 'close' only after all output is read.
    await this.#reader.cancel()
    return this.#ended
  }

  /** Called at the end of the output: throws what went wrong, if anything did. */
  async #check(): Promise<void> {
    const code = await this.#wait()
    this.#signal.throwIfAborted()
    if (code === 0) return
    if (this.#feedFault instanceof TrecvitError) throw this.#feedFault
    const reason = this.log.error ?? `exit code ${code}`
    throw new DecoderFault(`ffmpeg reports ${reason}`, { cause: this.#feedFault })
  }
}

/** Writes bytes and waits until the pipe accepts them. */
export function writeTo(stdin: Writable, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) =>
    stdin.write(data, (error) => (error ? reject(error) : resolve())),
  )
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

async function start(options: readonly string[]): Promise<Child> {
  const { spawn } = builtinModule('node:child_process')!
  // A separate process group, so that Ctrl-C in a terminal reaches only this process. If this
  // process is killed, ffmpeg ends because its pipes break.
  let child: Child
  try {
    child = spawn('ffmpeg', options, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      windowsHide: true,
    })
  } catch (error) {
    // Deno throws if it may not run processes or read the environment.
    throw notStarted(error as Error)
  }
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    // Stays registered, because an error event without a listener ends the process.
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
