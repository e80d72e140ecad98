/**
 * A counting semaphore.
 */
export class Slots {
  readonly #count: number
  #free: number
  /** Waiting callers, in order. */
  readonly #waiting = new Set<{
    readonly resolve: () => void
    readonly reject: (why: unknown) => void
  }>()
  #closed: unknown

  constructor(count: number) {
    this.#count = count
    this.#free = count
  }

  /** Number of slots in use. */
  get taken(): number {
    return this.#count - this.#free
  }

  /** Number of waiting callers. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Takes a slot. Dispose of it after the work. Returns null if none is free. */
  tryTake(): Disposable | null {
    if (this.#closed !== undefined || this.#free === 0) return null
    this.#free--
    return this.#place()
  }

  /**
   * Waits for a slot. Callers are served in order. Dispose of the slot after the work.
   * @throws the reason of the signal or of `close`, whichever is first
   */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#closed !== undefined) throw this.#closed
    if (this.#free > 0) this.#free--
    else {
      await new Promise<void>((resolve, reject) => {
        const caller = {
          resolve: () => settle(resolve),
          reject: (why: unknown) => settle(() => reject(why)),
        }
        const abort = () => caller.reject(signal.reason)
        const settle = (then: () => void) => {
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

  /** Rejects all waiting and later callers. */
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
