/**
 * Frames of a file that FFmpeg demuxes. Adds times, colour and rotation to the pictures, and
 * reports damage.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { colourOf, namedMatrix, type Tags } from '../codec/tags.ts'
import { DecoderFault } from '../decoder/track.ts'
import { checkSize, type Frame } from '../frame.ts'
import { capital } from '../source/media.ts'
import { aspectOf, type Reading, type VideoInfo } from '../video.ts'
import { FileClock } from './clock.ts'
import { labelOf } from './formats.ts'
import type { Job, Read, Reader } from './reader.ts'

/** Largest number of warnings for one video. */
const MAX_WARNINGS = 20

/** The frames of an opened file. */
export class FileVideo implements Reading {
  readonly info: VideoInfo
  readonly warnings: string[] = []
  readonly #name: string
  readonly #reader: Reader
  readonly #codec: string
  readonly #tags: Tags
  readonly #clock: FileClock
  readonly #first: Frame
  #size: { readonly width: number; readonly height: number } | null = null
  #isFirst = true
  #unreported = 0

  /** @param first first picture of the reader */
  constructor(job: Job, reader: Reader, first: Read, decoder: string) {
    const { facts } = reader
    this.#name = capital(job.media.name)
    this.#reader = reader
    this.#codec = facts.codec
    this.#clock = new FileClock(job.format.isBroadcast === true, facts.fps)
    const { matrix, fault } = namedMatrix(facts.matrix)
    const { fullRange, siting } = facts
    this.#tags = { matrix, fullRange, siting: siting ?? 'left', faults: [] }
    if (fault !== null) this.warnings.push(`${this.#name} ${fault}`)
    this.#first = this.#show(first)
    const isTurned = facts.rotation % 180 !== 0
    this.info = {
      container: job.format.name,
      codec: labelOf(facts.codec, facts.profile),
      width: isTurned ? first.height : first.width,
      height: isTurned ? first.width : first.height,
      rotation: facts.rotation,
      ...aspectOf(first.aspect),
      frames: null,
      duration: facts.duration,
      fps: facts.fps,
      decoder,
    }
  }

  /** @throws TrecvitError if the file is damaged, cut short, or changes its size */
  async next(): Promise<Frame | null> {
    if (this.#isFirst) {
      this.#isFirst = false
      return this.#first
    }
    try {
      const picture = await this.#reader.next()
      if (picture !== null) return this.#show(picture)
    } catch (error) {
      throw this.#explained(error)
    }
    this.#report(this.#reader.damage)
    if (this.#unreported > 0)
      this.warnings.push(`${this.#name} is damaged in ${this.#unreported} more places`)
    this.#unreported = 0
    return null
  }

  release(): Promise<void> {
    return this.#reader.close()
  }

  #show({ damage, aspect: _, ...picture }: Read): Frame {
    checkSize(`A picture of ${this.#name}`, picture.width, picture.height)
    this.#checkChange(picture)
    this.#report(damage)
    const { rotation, isMirrored } = this.#reader.facts
    return {
      ...picture,
      ...colourOf(this.#tags, picture, this.#codec),
      time: this.#clock.add(picture.time),
      rotation,
      ...(isMirrored && { isMirrored }),
    }
  }

  /** Throws if the size changes, because a model's input has one size. */
  #checkChange({ width, height }: { width: number; height: number }): void {
    this.#size ??= { width, height }
    const before = this.#size
    if (width === before.width && height === before.height) return
    const sizes = `${before.width}x${before.height} to ${width}x${height}`
    throw new TrecvitError(
      `${this.#name} changes its size from ${sizes} pixels after ` +
        `${this.#clock.time.toFixed(3)} s: split it there, or ${CONVERT}`,
    )
  }

  #report(damage: string | null): void {
    if (damage === null) return
    if (this.warnings.length >= MAX_WARNINGS) this.#unreported++
    else
      this.warnings.push(
        `${this.#name} is damaged near ${this.#clock.time.toFixed(3)} s (${damage}): ` +
          'frames there may be missing or wrong',
      )
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof DecoderFault)) return error
    return new TrecvitError(
      `${this.#name} cannot be decoded beyond ${this.#clock.time.toFixed(3)} s ` +
        `(${error.message}): it is damaged there; onError "skip" reads on`,
      { cause: error },
    )
  }
}
