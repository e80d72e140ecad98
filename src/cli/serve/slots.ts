/**
 * Places for so much work at once.
 */
export class Slots {
  readonly #count: number
  #free: number
  /** Those who wait, in their order. */
  readonly #waiting = new Set<{
    readonly resolve: () => void
    readonly reject: (why: unknown) => void
  }>()
  #closed: unknown

  constructor(count: number) {
    this.#count = count
    this.#free = count
  }

  /** Places that are taken. */
  get taken(): number {
    return this.#count - this.#free
  }

  /** Callers that wait for a place. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** A place, to be disposed of after the work, or null if there is none now. */
  tryTake(): Disposable | null {
    if (this.#closed !== undefined || this.#free === 0) return null
    this.#free--
    return this.#place()
  }

  /**
   * A place in turn, to be disposed of after the work.
   * @throws the reason of the signal, or of `close`, if that comes first
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#closed !== undefined) throw this.#closed
    if (this.#free > 0) this.#free--
    else {
      await new Promise<void>((resolve, reject) => {
        const caller = {
          resolve: () => leave(resolve),
          reject: (why: unknown) => leave(() => reject(why)),
        }
        const abort = () => caller.reject(signal.reason)
        const leave = (then: () => void) => {
          this.#waiting.delete(caller)
          signal.removeEventListener('abort', abort)
          then()
        }
        this.#waiting.add(caller)
        signal.addEventListener('abort', abort)
      })
    }
    return this.#place()
  }

  /** Sends away who waits now or asks later. */
  close(why: unknown): void {
    this.#closed = why
    for (const caller of this.#waiting) caller.reject(why)
  }

  #place(): Disposable {
    let taken = true
    return {
      [Symbol.dispose]: () => {
        if (!taken) return
        taken = false
        const [next] = this.#waiting
        if (next) next.resolve()
        else this.#free++
      },
    }
  }
}
