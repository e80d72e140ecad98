/** Shows frames at their times, or as fast as possible if that is slower. */
export class Pace {
  #begun: { readonly at: number; readonly time: number } | undefined

  /** Waits until a frame has been shown for long enough. @param time of the frame, in seconds */
  async wait(time: number): Promise<void> {
    this.#begun ??= { at: performance.now(), time }
    const { at, time: first } = this.#begun
    const wait = at + 1000 * (time - first) - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    // Playback is too slow to catch up, so the pace starts again here.
    else this.#begun = { at: performance.now(), time }
  }

  /** Starts again with the next frame. */
  restart(): void {
    this.#begun = undefined
  }
}
