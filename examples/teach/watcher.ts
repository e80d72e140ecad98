/** Follows the frames of a camera or a clip: recognises and records them. */
import type { FeatureStream } from 'trecvit'
import type { Frame } from 'trecvit/video'
import type { Encoder } from './encoder.ts'
import type { Head } from './head.ts'
import type { Recording } from './lesson.ts'
import { CORRECTION, RECORDING } from './messages.ts'
import { joined } from './reading.ts'
import { Thumbnail } from './thumbnail.ts'

/** Seconds before a correction by camera that are skipped: the user reaches for the button. */
const REACH = 0.7

/** The features of a frame, and its time in seconds. */
interface Seen {
  readonly time: number
  readonly row: Float32Array
}

export class Watcher {
  readonly #encoder: Encoder
  readonly #stream: FeatureStream
  readonly #reach: number
  readonly #thumbnail = new Thumbnail()
  readonly #seen: Seen[] = []
  #recording: { readonly action: number; readonly seen: Seen[]; picture?: Blob } | undefined

  constructor(encoder: Encoder, isCamera: boolean) {
    this.#encoder = encoder
    this.#stream = encoder.open()
    this.#reach = isCamera ? REACH : 0
  }

  /**
   * Encodes a frame.
   * @param bitmap the same frame, as it is shown
   * @returns the probabilities of the head, or null before a full window
   */
  async see(frame: Frame, bitmap: ImageBitmap, head: Head | null): Promise<Float32Array | null> {
    const { time } = frame
    const seen = { time, row: await this.#encoder.encode(this.#stream, frame) }
    const { window } = this.#encoder
    this.#seen.push(seen)
    const from = time - CORRECTION - this.#reach
    while (this.#seen.length > window && this.#seen[0]!.time < from) this.#seen.shift()
    this.#thumbnail.draw(bitmap)
    const recording = this.#recording
    recording?.seen.push(seen)
    if (recording && !recording.picture && this.recording!.done >= 0.5)
      recording.picture = await this.#thumbnail.encode()
    if (!head || this.#seen.length < window) return null
    return head.answer(this.#seen.slice(-window).map(({ row }) => row))
  }

  /** Records the next seconds for an action; null cancels it. */
  record(action: number | null): void {
    this.#recording = action === null ? undefined : { action, seen: [] }
  }

  /** The action that is recorded, and the part that is done, from 0 to 1. */
  get recording(): { readonly action: number; readonly done: number } | undefined {
    if (!this.#recording) return undefined
    const { action, seen } = this.#recording
    const ofFrames = seen.length / (2 * this.#encoder.window)
    return { action, done: Math.min(1, spanOf(seen) / RECORDING, ofFrames) }
  }

  /** Returns the finished recording. */
  take(): Omit<Recording, 'id'> {
    const { seen, picture } = this.#recording!
    this.#recording = undefined
    return recordingOf(seen, picture!)
  }

  /** Returns the last seconds as a recording, or null if there are too few. */
  async last(): Promise<Omit<Recording, 'id'> | null> {
    const until = (this.#seen.at(-1)?.time ?? 0) - this.#reach
    const seen = this.#seen.filter(({ time }) => time <= until && time > until - CORRECTION)
    if (seen.length < this.#encoder.window) return null
    return recordingOf(seen, await this.#thumbnail.encode())
  }

  close(): Promise<void> {
    return this.#stream.dispose()
  }
}

const spanOf = (seen: readonly Seen[]): number =>
  seen.length > 0 ? seen.at(-1)!.time - seen[0]!.time : 0

const recordingOf = (seen: readonly Seen[], picture: Blob): Omit<Recording, 'id'> => ({
  ...joined(seen.map(({ row }) => row)),
  seconds: spanOf(seen),
  picture,
})
