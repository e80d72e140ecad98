/**
 * Pictures of a camera or of the screen. The next one is captured after the answer to the one
 * before.
 */

const REFUSED: Readonly<Record<string, string>> = {
  NotAllowedError: 'was not allowed; allow it in the address bar and try again, or open a file',
  NotFoundError: 'was not found; connect one and try again, or open a file',
  NotReadableError: 'is in use by another program; close that and try again',
}

export class Live {
  readonly #give: (bitmap: ImageBitmap, time: number) => void
  readonly #fail: (why: string) => void
  readonly #video = document.createElement('video')
  #stream: MediaStream | undefined
  #rate: () => number = () => 30
  #begun = 0
  #last = 0
  #waiting = false
  /** Whether pictures are of the user, who expects a mirror. Cameras of desktops do not say it. */
  facesUser = false

  /**
   * @param give receives a picture and its time in seconds @param fail receives the reason if there
   * are no pictures
   */
  constructor(give: (bitmap: ImageBitmap, time: number) => void, fail: (why: string) => void) {
    this.#give = give
    this.#fail = fail
    this.#video.muted = true
    this.#video.playsInline = true
  }

  /** Asks for permission. Returns false if it is refused. */
  async start(kind: 'camera' | 'screen', rate: () => number): Promise<boolean> {
    const name = kind === 'camera' ? 'The camera' : 'The screen'
    try {
      const { mediaDevices } = navigator
      if (!mediaDevices) throw new TypeError('this needs a page with https, or on localhost')
      const stream =
        kind === 'camera'
          ? await mediaDevices.getUserMedia({ video: { width: 640, height: 480 } })
          : await mediaDevices.getDisplayMedia({ video: true })
      this.stop()
      this.#stream = stream
      const track = stream.getVideoTracks()[0]!
      this.facesUser = kind === 'camera' && track.getSettings().facingMode !== 'environment'
      track.onended = () => {
        this.stop()
        this.#fail(`${name} has been switched off.`)
      }
      this.#video.srcObject = stream
      await this.#video.play()
    } catch (error) {
      const { name: kindOfError, message } = error as Error
      this.#fail(`${name} ${REFUSED[kindOfError] ?? `cannot be used (${message})`}.`)
      return false
    }
    this.#rate = rate
    this.#begun = this.#last = performance.now()
    this.#waiting = false
    void this.#next(this.#stream)
    return true
  }

  /** Called after the answer to the last picture. */
  answered(): void {
    this.#waiting = false
  }

  stop(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop()
    this.#stream = undefined
    this.#video.srcObject = null
  }

  async #next(stream: MediaStream): Promise<void> {
    while (this.#stream === stream) {
      const now = performance.now()
      if (
        !this.#waiting &&
        now - this.#last >= 1000 / this.#rate() - 2 &&
        this.#video.readyState >= 2
      ) {
        this.#waiting = true
        this.#last = now
        const bitmap = await createImageBitmap(this.#video)
        if (this.#stream === stream) this.#give(bitmap, (now - this.#begun) / 1000)
        else bitmap.close()
      }
      await new Promise((resolve) => setTimeout(resolve, 4))
    }
  }
}
