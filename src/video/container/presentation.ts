/**
 * Converts decoded pictures to frames. Applies the edit list, the timestamps and the colour tags.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { colourOf } from '../codec/tags.ts'
import { type Decode, type Decoded, DecoderFault } from '../decoder/track.ts'
import type { Frame } from '../frame.ts'
import { capital } from '../source/media.ts'
import type { Part } from './part.ts'
import { type Pass, passesOf } from './pass.ts'

/** The frames of a video. Times are relative to the first frame. */
export class Presentation {
  readonly #name: string
  readonly #first: Part
  readonly #warnings: string[]
  readonly #decode: Decode
  readonly #signal: AbortSignal
  /** The file being read, one of several if they are concatenated; null at the end. */
  #part: Part | null
  /** Remaining passes over the media of the part. */
  #passes: Pass[]
  #pass: Pass | null = null
  #pictures: AsyncGenerator<Decoded> | null = null
  readonly #clock = new JoinedClock()
  #size: Pick<Decoded, 'width' | 'height'> | null = null
  /** The first frame, until `next` returns it. */
  #ahead: Frame | null = null

  /** @param warnings receives warnings that are known only at the end */
  constructor(name: string, part: Part, warnings: string[], decode: Decode, signal: AbortSignal) {
    this.#name = capital(name)
    this.#first = part
    this.#warnings = warnings
    this.#decode = decode
    this.#signal = signal
    this.#part = part
    this.#passes = passesOf(part)
  }

  /**
   * Returns the first frame. `next` returns it again.
   * @throws DecoderFault if the decoder outputs no picture
   * @throws TrecvitError if no picture is shown
   */
  async first(): Promise<Frame> {
    this.#ahead = await this.next()
    if (this.#ahead !== null) return this.#ahead
    throw new TrecvitError(`${this.#name} has no picture that is shown: it is cut short or damaged`)
  }

  /**
   * Returns the next frame; null at the end.
   * @throws TrecvitError if the video is damaged, cut short, or changes its size
   */
  async next(): Promise<Frame | null> {
    const frame = this.#ahead
    this.#ahead = null
    if (frame !== null) return frame
    try {
      for (let picture = await this.#picture(); picture; picture = await this.#picture()) {
        const time = this.#pass!.timeOf(picture.time)
        if (time !== null) return this.#show(picture, time)
        if (this.#pass!.isOver) await this.#endPass()
      }
      return null
    } catch (error) {
      await this.close()
      throw this.#explained(error)
    }
  }

  /** Frees the decoder, and all parts except the first. */
  async close(): Promise<void> {
    const part = this.#part
    this.#part = null
    await this.#endPass().catch(() => {})
    if (part !== this.#first) part?.dispose()
  }

  /** Returns the next decoded picture; null at the end of the last part. */
  async #picture(): Promise<Decoded | null> {
    while (this.#part !== null) {
      this.#pictures ??= this.#beginPass(this.#part)
      if (this.#pictures === null) {
        await this.#endPart(this.#part)
        continue
      }
      const { value, done } = await this.#pictures.next()
      if (!done) return value
      this.#pictures = null
    }
    return null
  }

  #beginPass({ track }: Part): AsyncGenerator<Decoded> | null {
    this.#pass = this.#passes.shift() ?? null
    if (this.#pass === null) return null
    const { from } = this.#pass
    return this.#decode({ ...track, packets: () => track.packets(from) }, this.#signal)
  }

  async #endPass(): Promise<void> {
    const pictures = this.#pictures
    this.#pictures = null
    await pictures?.return(undefined)
  }

  async #endPart(part: Part): Promise<void> {
    const { warning, next } = await part.end()
    if (warning !== null) this.#warnings.push(`${this.#name} ${warning}`)
    if (part !== this.#first) part.dispose()
    this.#part = next
    if (next === null) return
    this.#passes = passesOf(next)
    this.#clock.join()
  }

  #show(picture: Decoded, shownAt: number): Frame {
    this.#checkSize(picture)
    const time = this.#clock.add(shownAt)
    const { tags, track, rotation, isMirrored } = this.#first
    const colour = colourOf(tags, picture, track.kind)
    return { ...picture, ...colour, time, rotation, ...(isMirrored && { isMirrored }) }
  }

  /** Throws if the size changes, because a model's input has one size. */
  #checkSize({ width, height }: Decoded): void {
    this.#size ??= { width, height }
    const before = this.#size
    if (width === before.width && height === before.height) return
    const sizes = `${before.width}x${before.height} to ${width}x${height}`
    throw new TrecvitError(
      `${this.#name} changes its size from ${sizes} pixels after ` +
        `${this.#clock.time.toFixed(3)} s: split it there, or ${CONVERT}`,
    )
  }

  /** Explains an error after the first frame. Another decoder cannot continue from there. */
  #explained(error: unknown): unknown {
    if (this.#size === null || !(error instanceof DecoderFault)) return error
    return new TrecvitError(
      `${this.#name} cannot be decoded beyond ${this.#clock.time.toFixed(3)} s ` +
        `(${error.message}): it is damaged there`,
      { cause: error },
    )
  }
}

/** Times of concatenated parts. Each part begins one frame after the end of the previous one. */
class JoinedClock {
  /** Time of the last frame, in seconds since the first frame of all parts. */
  time = 0
  #origin: number | undefined
  /** Start time of the part in seconds. */
  #start = 0
  /** Time of the part's first frame; undefined before it. 0 for the first part keeps its times. */
  #zero: number | undefined = 0
  #last = 0
  #gap = 0

  /** Adds a frame at a time of its part in seconds. */
  add(time: number): number {
    this.#zero ??= time
    this.#gap = time - this.#zero - this.#last
    this.#last = time - this.#zero
    const joined = this.#start + this.#last
    this.#origin ??= joined
    this.time = joined - this.#origin
    return this.time
  }

  /** Starts the next part. */
  join(): void {
    this.#start += this.#last + this.#gap
    this.#zero = undefined
    this.#last = 0
    this.#gap = 0
  }
}
