/**
 * Frames of the camera or of the screen, as the library gives them: the newest one after each
 * answer. A second one under way would be older when it is answered. Frames are copies, which
 * nobody closes; their bytes move to the worker.
 */
import type { Camera, Frame } from 'trecvit/video'

/** Tolerance of the time of a frame, in seconds. */
const TOLERANCE = 2e-3

export class Live {
  readonly #give: (frame: Frame, transfer: Transferable[]) => void
  readonly #fail: (why: string) => void
  #view: Camera | undefined
  #wake = (): void => {}
  #given = 0
  /** Whether pictures are of the user, who expects a mirror. Cameras of desktops do not say it. */
  facesUser = false

  /**
   * @param give receives a frame and its buffers @param fail receives the reason if there are no
   * frames
   */
  constructor(give: (frame: Frame, transfer: Transferable[]) => void, fail: (why: string) => void) {
    this.#give = give
    this.#fail = fail
  }

  /** Frames that were given, and frames that were dropped because the answers took longer. */
  get counts(): { readonly given: number; readonly dropped: number } {
    return { given: this.#given, dropped: this.#view?.dropped ?? 0 }
  }

  /**
   * Asks for permission. Returns false if it is refused.
   * @param rate returns the largest number of frames per second, or 0 for no limit
   */
  async start(kind: 'camera' | 'screen', rate: () => number): Promise<boolean> {
    let view: Camera
    try {
      // Loaded here, because most visits need no camera. The worker has already fetched it.
      const { camera, screenCapture } = await import('trecvit/video')
      view = await (kind === 'camera' ? camera() : screenCapture())
    } catch (error) {
      this.#fail((error as Error).message)
      return false
    }
    this.stop()
    this.#view = view
    this.#given = 0
    const [track] = view.stream.getVideoTracks()
    this.facesUser = kind === 'camera' && track!.getSettings().facingMode !== 'environment'
    void this.#follow(view, kind, rate)
    return true
  }

  /** Called after the answer to the last frame. */
  answered(): void {
    this.#wake()
  }

  stop(): void {
    void this.#view?.close()
    this.#view = undefined
    this.#wake()
  }

  async #follow(view: Camera, kind: string, rate: () => number): Promise<void> {
    let why = `The ${kind} has been switched off.`
    let due = 0
    try {
      for await (const frame of view) {
        if (frame.time < due - TOLERANCE) continue
        if (rate()) due = nextTick(due, frame.time, 1 / rate())
        this.#given++
        const answered = new Promise<void>((resolve) => (this.#wake = resolve))
        this.#give(frame, [...new Set(frame.planes.map(({ data }) => data.buffer as ArrayBuffer))])
        await answered
      }
    } catch (error) {
      why = (error as Error).message
    }
    if (this.#view !== view) return
    this.stop()
    this.#fail(why)
  }
}

/** Returns the time of the next frame. Ticks are regular, and a missed one is skipped. */
const nextTick = (due: number, now: number, interval: number): number =>
  (now < due + interval ? due : now) + interval
