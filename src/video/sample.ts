/**
 * Samples the frames of a video.
 */
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import type { Frame } from './frame.ts'
import { iterate } from './iterate.ts'

/** Options for sampling frames. By default every frame is used. */
export interface SampleOptions {
  /** Start time, in seconds after the first frame. Default 0. */
  readonly start?: number
  /**
   * Frames per second. Each tick yields the frame that is displayed at its time, so a slower video
   * repeats frames. A gap longer than both 10 s and 10 times the previous gap is a jump of the
   * clock. It is shortened to the longer of these limits. Default: every frame.
   */
  readonly fps?: number
  /** Uses every n-th frame (after `fps`). Default 1. */
  readonly stride?: number
  /** Largest number of frames. The video is closed after them. Default: no limit. */
  readonly frames?: number
}

/**
 * Tolerance of timestamps in seconds. Containers round them, at worst to milliseconds, and a tick
 * must not miss its frame because of that.
 */
const TOLERANCE = 1e-3

/**
 * A gap is a jump of the clock if it exceeds this many seconds, and this multiple of the previous
 * gap.
 */
const JUMP = 10

/**
 * Samples frames by their timestamps, so variable frame rates work. The last frame is displayed as
 * long as the previous one. A repeated frame is the same object.
 * @throws TrecvitError if an option is out of range
 * @example
 * const video = await openVideo('clip.mp4')
 * for await (const frame of sample(video, { fps: 12.5 })) console.log(frame.time)
 */
export function sample(
  frames: AsyncIterable<Frame>,
  options: SampleOptions = {},
): AsyncIterableIterator<Frame> {
  checkOptions('sample', options, { start: 1, fps: 1, stride: 1, frames: 1 })
  const { start = 0, fps, stride = 1, frames: most = Infinity } = options
  if (!(start >= 0 && Number.isFinite(start)))
    throw new TrecvitError(`start must be a number of seconds from 0 on, not ${start}`)
  if (fps !== undefined && !(fps > 0 && Number.isFinite(fps)))
    throw new TrecvitError(`fps must be a positive number, not ${fps}`)
  if (!Number.isInteger(stride) || stride < 1)
    throw new TrecvitError(`stride must be an integer from 1 on, not ${stride}`)
  if (most !== Infinity && (!Number.isInteger(most) || most < 1))
    throw new TrecvitError(`frames must be an integer from 1 on, not ${most}`)
  const schedule = fps === undefined ? new EveryFrame(start) : new Ticks(start, fps)
  return pick(frames, schedule, stride, most)
}

function pick(
  frames: AsyncIterable<Frame>,
  schedule: Schedule,
  stride: number,
  most: number,
): AsyncIterableIterator<Frame, undefined> {
  let source: AsyncIterator<Frame> | undefined
  let isOver = false
  let seen = 0
  let taken = 0
  /** Returns the next frame of the schedule. */
  async function next(): Promise<Frame | null> {
    for (let frame = schedule.due(); ; frame = schedule.due()) {
      if (frame !== null || isOver) return frame
      source ??= frames[Symbol.asyncIterator]()
      const { value, done } = await source.next()
      isOver = done === true
      if (isOver) schedule.end()
      else schedule.add(value as Frame)
    }
  }
  async function picked(): Promise<Frame | null> {
    // Does not decode or wait for a frame that is not used.
    if (taken >= most) return null
    let frame = await next()
    while (frame !== null && seen++ % stride !== 0) frame = await next()
    taken++
    return frame
  }
  return iterate(picked, async () => {
    if (!isOver) await source?.return?.()
  })
}

/** Determines which frame is displayed when. */
interface Schedule {
  /** Adds the next frame of the video. */
  add(frame: Frame): void
  /** Ends the video. */
  end(): void
  /** Returns the next sampled frame; null if another frame must be added first. */
  due(): Frame | null
}

class EveryFrame implements Schedule {
  readonly #start: number
  #zero: number | undefined
  #frame: Frame | null = null

  constructor(start: number) {
    this.#start = start
  }

  add(frame: Frame): void {
    this.#zero ??= frame.time
    if (frame.time - this.#zero >= this.#start - TOLERANCE) this.#frame = frame
  }

  end(): void {}

  due(): Frame | null {
    const frame = this.#frame
    this.#frame = null
    return frame
  }
}

class Ticks implements Schedule {
  readonly #start: number
  readonly #fps: number
  #tick = 0
  #zero = 0
  #gap = 0
  /** The displayed frame, and the time at which the next one replaces it. */
  #shown: Frame | null = null
  #until = 0
  /** The next frame of the video. */
  #next: Frame | null = null

  constructor(start: number, fps: number) {
    this.#start = start
    this.#fps = fps
  }

  add(frame: Frame): void {
    if (this.#shown === null) {
      this.#zero = frame.time
      this.#shown = frame
      return
    }
    const gap = frame.time - this.#shown.time
    const most = Math.max(JUMP, JUMP * this.#gap)
    // Later times move back by what is removed from the gap.
    if (gap > most) this.#zero += gap - most
    this.#gap = Math.min(gap, most)
    this.#until = frame.time - this.#zero
    this.#next = frame
  }

  /** A single picture is used once. */
  end(): void {
    if (this.#shown !== null)
      this.#until = this.#shown.time - this.#zero + Math.max(this.#gap, 2 * TOLERANCE)
  }

  due(): Frame | null {
    if (this.#start + this.#tick / this.#fps < this.#until - TOLERANCE) {
      this.#tick++
      return this.#shown
    }
    this.#shown = this.#next ?? this.#shown
    this.#next = null
    return null
  }
}
