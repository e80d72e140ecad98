/**
 * Parser of the log of the ffmpeg process: pictures, as its filter showinfo reports them,
 * properties of the input, and errors.
 */
import type { Readable } from 'node:stream'
import type { Rotation } from '../frame.ts'
import { firstLine } from './track.ts'

/** One picture, as showinfo reports it. */
export interface Picture {
  /** FFmpeg's name of its pixel format. */
  readonly format: string
  readonly width: number
  readonly height: number
  /** Timestamp in seconds. */
  readonly time: number
  /** Width of a pixel divided by its height; 0: unknown. */
  readonly aspect: number
  /** Number of errors logged before it. */
  readonly errors: number
}

// Anchored at the line start: metadata of the file, such as its title, is indented differently.
const SHOWINFO = /^\[Parsed_showinfo\S* @ \w+\] \[info\] (.*)/
const PICTURE = /^n: *\d+ pts: *(\S+) .*?\bfmt:(\w+) .*?sar:(\d+)\/(\d+) s:(\d+)x(\d+) /
const CLOCK = /^config in time_base: (\d+)\/(\d+), frame_rate: (\d+)\/(\d+)/
const STREAM = /^\[info\] {3}Stream #0:(\d+)\S*: Video: (.*)/
const MAPPING = /^\[info\] {3}Stream #0:(\d+) -> #0:0 /
const DURATION = /^\[info\] {3}Duration: (\d+):(\d+):([\d.]+),/
const TURN = /^\[info\] {7}displaymatrix: rotation of (-?[\d.]+) degrees/
const ERROR = /^(\[[^\]]* @ \w+\] )*\[(error|fatal|panic)\] /
/** The demuxer found a damaged packet. The decoder may not notice it. */
const CORRUPT = /^\[warning\] .*: corrupt input packet in stream \d+$/

/** The log, parsed line by line. */
export class FfmpegLog {
  /** The first error. */
  error: string | null = null
  /** The last error. */
  lastError: string | null = null
  errors = 0
  /** Errors before the first packet was decoded. */
  probeErrors = 0
  /** Frames per second; null: unknown. */
  fps: number | null = null
  /** Seconds; null: unknown. */
  duration: number | null = null
  /** Clockwise rotation to display pictures upright, in degrees. */
  rotation: Rotation = 0
  /** Descriptions of the video streams of the input, by index. */
  readonly streams: Map<number, string> = new Map()
  /** Index of the decoded stream. */
  stream = -1
  readonly #pictures: Picture[] = []
  /** Time base in seconds. */
  #tick = 0
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

  /** Returns the next picture; null if ffmpeg ended without one. */
  async next(): Promise<Picture | null> {
    while (this.#pictures.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#pictures.shift() ?? null
  }

  #read(line: string): void {
    const [, shown] = SHOWINFO.exec(line) ?? []
    if (shown !== undefined) return this.#readShown(shown)
    if (ERROR.test(line) || CORRUPT.test(line)) return this.#addError(line)
    const stream = STREAM.exec(line)
    // Later streams in the log belong to the output.
    if (stream !== null && this.stream < 0) this.streams.set(Number(stream[1]), stream[2]!)
    const turn = TURN.exec(line)
    if (turn !== null)
      this.rotation = (((Math.round(-Number(turn[1]) / 90) + 4) % 4) * 90) as Rotation
    const mapping = MAPPING.exec(line)
    if (mapping !== null) {
      this.stream = Number(mapping[1])
      this.probeErrors = this.errors
    }
    const [, hours, minutes, seconds] = DURATION.exec(line) ?? []
    if (hours !== undefined)
      this.duration ??= 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds)
  }

  /** Parses a line of the filter showinfo. */
  #readShown(text: string): void {
    const picture = PICTURE.exec(text)
    if (picture !== null) return this.#addPicture(picture)
    const clock = CLOCK.exec(text)
    if (clock === null) return
    this.#tick = Number(clock[1]) / Number(clock[2])
    this.fps ??= positive(Number(clock[3]) / Number(clock[4]))
  }

  #addPicture([, pts, format, horizontal, vertical, width, height]: RegExpExecArray): void {
    this.#pictures.push({
      format: format!,
      width: Number(width),
      height: Number(height),
      time: Number(pts) * this.#tick,
      aspect: positive(Number(horizontal) / Number(vertical)) ?? 0,
      errors: this.errors,
    })
  }

  #addError(line: string): void {
    this.lastError = firstLine(line.replace(/\[[^\]]*\] */g, '').split('. ')[0]!)
    this.error ??= this.lastError
    this.errors++
  }
}

/** Returns a finite positive number unchanged, null for others. */
function positive(number: number): number | null {
  return number > 0 && Number.isFinite(number) ? number : null
}
