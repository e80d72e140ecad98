/**
 * Which frames of a video are looked at.
 */
import { TrecvitError } from '../base/error.ts'
import type { Frame } from './frame.ts'

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
 */
export function sample(
  frames: AsyncIterable<Frame>,
  options: SampleOptions = {},
): AsyncGenerator<Frame, void> {
  const { start = 0, fps, stride = 1, frames: most = Infinity } = options
  if (!(start >= 0 && Number.isFinite(start)))
    throw new TrecvitError(`start must be a number of seconds from 0 on, not ${start}`)
  if (fps !== undefined && !(fps > 0 && Number.isFinite(fps)))
    throw new TrecvitError(`fps must be a positive number, not ${fps}`)
  if (!Number.isInteger(stride) || stride < 1)
    throw new TrecvitError(`stride must be a whole number from 1 on, not ${stride}`)
  if (most !== Infinity && (!Number.isInteger(most) || most < 1))
    throw new TrecvitError(`frames must be a whole number from 1 on, not ${most}`)
  return take(fps === undefined ? from(frames, start) : atTicks(frames, start, fps), stride, most)
}

async function* take(
  frames: AsyncIterable<Frame>,
  stride: number,
  most: number,
): AsyncGenerator<Frame, void> {
  let seen = 0
  let taken = 0
  for await (const frame of frames) {
    if (seen++ % stride !== 0) continue
    yield frame
    // Here and not at the next frame: that one need not be decoded, nor waited for.
    if (++taken >= most) return
  }
}

async function* from(frames: AsyncIterable<Frame>, start: number): AsyncGenerator<Frame, void> {
  let zero: number | undefined
  for await (const frame of frames) {
    zero ??= frame.time
    if (frame.time - zero >= start - TOLERANCE) yield frame
  }
}

async function* atTicks(
  frames: AsyncIterable<Frame>,
  start: number,
  fps: number,
): AsyncGenerator<Frame, void> {
  let tick = 0
  let zero: number | undefined
  let shown: Frame | undefined
  let gap = 0
  /** Ticks before `end`, all of which show the same frame. */
  function* ticksUntil(end: number): Generator<Frame> {
    for (; shown !== undefined && start + tick / fps < end - TOLERANCE; tick++) yield shown
  }
  for await (const frame of frames) {
    zero ??= frame.time
    const next = shown === undefined ? 0 : frame.time - shown.time
    const most = Math.max(JUMP, JUMP * gap)
    // What is cut moves the start of all times behind it.
    if (next > most) zero += next - most
    yield* ticksUntil(frame.time - zero)
    gap = Math.min(next, most)
    shown = frame
  }
  if (shown === undefined) return
  // One picture alone is shown once.
  yield* ticksUntil(shown.time - zero! + Math.max(gap, 2 * TOLERANCE))
}
