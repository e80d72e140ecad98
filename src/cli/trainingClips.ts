import type { NdArray } from '../base/array.ts'
import { readClip } from './clipReader.ts'
import type { Reading } from './trainingOptions.ts'

/** Bytes of clips in memory. Further clips are read again in each epoch. */
const MAX_HELD = 2 ** 30

/** The clips of a training, in memory up to a bound. */
export class ClipStore {
  readonly #reading: Reading
  readonly #held = new Map<string, NdArray<Uint8Array>>()
  #bytes = 0

  constructor(reading: Reading) {
    this.#reading = reading
  }

  /** Whether further clips are held. */
  get hasRoom(): boolean {
    return this.#bytes <= MAX_HELD
  }

  /**
   * Returns the clip of a video [t, H, W, 3]. Takes no signal: Ctrl-C ends a training after a step.
   * @throws TrecvitError if the video cannot be read
   */
  async read(source: string): Promise<NdArray<Uint8Array>> {
    const held = this.#held.get(source)
    if (held) return held
    const { imageSize, choice } = this.#reading
    const clip = await readClip(source, { imageSize }, choice)
    if (this.hasRoom) {
      this.#held.set(source, clip)
      this.#bytes += clip.data.byteLength
    }
    return clip
  }
}
