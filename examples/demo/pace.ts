import { waitUnlessOthers } from './turns.ts'

/** Shows frames at their times, or as fast as possible if that is slower. */
export class Pace {
  #begun: { readonly at: number; readonly time: number } | undefined

  /**
   * Waits until a frame has been shown for long enough, or until other work is queued.
   * @param time of the frame, in seconds
   */
  async wait(time: number): Promise<void> {
    this.#begun ??= { at: performance.now(), time }
    const { at, time: first } = this.#begun
    const wait = at + 1000 * (time - first) - performance.now()
    if (wait > 0) await waitUnlessOthers(wait)
    // Playback is too slow to catch up, so the pace starts again here.
    else this.#begun = { at: performance.now(), time }
  }
}
