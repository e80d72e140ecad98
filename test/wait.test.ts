/** Waits for results of a GPU, with a simulated clock and a simulated GPU. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resting } from '../src/backend/webgpu/wait.ts'

const { setImmediate: immediate, setTimeout: timeout } = globalThis
const { performance } = globalThis
/** Milliseconds of a turn of the event loop. */
const TURN = 0.02
let now = 0

beforeEach(() => {
  now = 0
  const after = (milliseconds: number) => (call: () => void) =>
    timeout(() => {
      now += milliseconds
      call()
    })
  Object.assign(globalThis, {
    performance: { now: () => now },
    setImmediate: after(TURN),
    setTimeout: (call: () => void, milliseconds = 0) => after(milliseconds)(call),
  })
})

afterEach(() => {
  Object.assign(globalThis, { performance, setImmediate: immediate, setTimeout: timeout })
})

/** A buffer that is ready at a time. Like Dawn, it polls in every turn while a call is pending. */
class FakeBuffer {
  polls = 0
  readonly #due: number
  readonly #lost: number
  #pending: { resolve(): void; reject(error: Error): void } | undefined

  constructor(due: number, lost = Infinity) {
    this.#due = due
    this.#lost = lost
  }

  mapAsync(): Promise<void> {
    expect(this.#pending).toBeUndefined()
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject }
      this.#poll()
    })
  }

  unmap(): void {
    this.#pending?.reject(new Error('aborted'))
    this.#pending = undefined
  }

  #poll(): void {
    globalThis.setImmediate(() => {
      if (!this.#pending) return
      this.polls++
      if (now >= this.#lost) this.#pending.reject(new Error('lost'))
      else if (now >= this.#due) this.#pending.resolve()
      else return this.#poll()
      this.#pending = undefined
    })
  }
}

/** Waits until the buffer is mapped. */
async function wait(buffer: FakeBuffer): Promise<void> {
  await resting.map(buffer as unknown as GPUBuffer, 4)
}

test('a result within a millisecond is noticed in the next turns', async () => {
  for (const due of [0, 0.3, 0.9]) {
    now = 0
    await wait(new FakeBuffer(due))
    expect(now - due).toBeLessThan(3 * TURN)
  }
})

// Without rests, 300 ms are 15,000 polls.
test('Dawn polls seldom while a result takes long, which is noticed a little later', {
  tags: 'slow',
}, async () => {
  for (const [due, polls] of [
    [10, 100],
    [300, 300],
  ] as const) {
    now = 0
    const buffer = new FakeBuffer(due)
    await wait(buffer)
    expect(buffer.polls).toBeLessThan(polls)
    expect(now - due).toBeLessThan(2 + due / 8)
  }
})

test('the loss of a device while waiting is reported', async () => {
  await expect(wait(new FakeBuffer(50, 20))).rejects.toThrow('lost')
})
