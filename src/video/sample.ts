/**
 * Which frames of a video are looked at.
 */
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import type { Frame } from './frame.ts'
import { iterate } from './iterate.ts'

/** Without options every frame is taken. */
export interface SampleOptions {
  /** Seconds after the first frame at which to begin. Default 0. */
  readonly start?: number
  /**
   * Frames a second: at each tick the frame that is on the screen, so that a slower video repeats
   * frames. A gap of more than 10 s, and of more than 10 times the gap before, is a jump of the
   * clock: it is cut to the longer of the two. Default: every frame.
   */
  readonly fps?: number
  /** Every n-th frame (of those that `fps` picked). Default 1. */
  readonly stride?: number
  /** Frames at most; then the video is left and freed. Default: no end. */
  readonly frames?: number
}

/**
 * Seconds by which times may be off: containers round them, at worst to milliseconds, and a tick is
 * not to miss its frame by that.
 */
const TOLERANCE = 1e-3

/** Seconds, and times the gap before, beyond which a gap is a jump of the clock. */
const JUMP = 10

/**
 * Picks frames. Times are taken as they come, so a variable frame rate is no special case; the last
 * frame stays on the screen as long as the one before it did. A frame that is repeated is the same
 * object.
 * @throws TrecvitError when an option is out of range
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
  /** Every frame of the schedule. */
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
    // The next frame need not be decoded, nor waited for.
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

/** When which frame is on the screen. */
interface Schedule {
  /** Another frame comes. */
  add(frame: Frame): void
  /** No more frames come. */
  end(): void
  /** The next frame that is taken; null until another comes. */
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
  /** The frame on the screen, and the seconds at which it leaves. */
  #shown: Frame | null = null
  #until = 0
  /** The frame after it. */
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
    // What is cut moves the start of all times behind it.
    if (gap > most) this.#zero += gap - most
    this.#gap = Math.min(gap, most)
    this.#until = frame.time - this.#zero
    this.#next = frame
  }

  /** One picture alone is shown once. */
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
