import { yieldToEventLoop } from '../../platform/platform.ts'
import { READ } from './usage.ts'

/** A way to wait until a buffer is mapped for reading. */
export interface Wait {
  /** Whether a caller should sleep before, until shortly before the end of the work. */
  readonly sleepsBefore: boolean
  /** Maps the first bytes of a buffer, after the work that was submitted before. */
  map(buffer: GPUBuffer, bytes: number): Promise<void>
}

/** Leaves it to the runtime when it looks for finished work. */
export const plain: Wait = {
  sleepsBefore: false,
  map: (buffer, bytes) => buffer.mapAsync(READ, 0, bytes),
}

/** Milliseconds between empty submits. */
const POLL_INTERVAL = 1

/** Submits nothing, again and again: Firefox polls every 100 ms, and at every submit. */
export function submitting({ queue }: GPUDevice): Wait {
  return {
    sleepsBefore: false,
    async map(buffer, bytes) {
      const polling = setInterval(() => queue.submit([]), POLL_INTERVAL)
      await plain.map(buffer, bytes).finally(() => clearInterval(polling))
    },
  }
}

/** Milliseconds in which Dawn may poll in every turn of the event loop. */
const SPIN = 1
/** Least number of turns of an attempt. Dawn polls once in each. */
const TURNS = 2
/** Rests between attempts last this share of the time so far, so results are at most that late. */
const REST_SHARE = 1 / 16

/**
 * Maps in short attempts with rests between them, for Dawn in Node and Bun. While a call is
 * pending, Dawn polls in every turn of the event loop. That occupies a core, and each poll leaves
 * objects that only a full garbage collection frees: a stream on an H200 paused for 100 ms in every
 * second. `unmap` ends a pending call.
 */
export const resting: Wait = {
  sleepsBefore: true,
  async map(buffer, bytes) {
    const began = performance.now()
    for (;;) {
      let isMapped = false
      const mapping = plain.map(buffer, bytes).then(() => {
        isMapped = true
      })
      for (let turn = 0; turn < TURNS || performance.now() - began < SPIN; turn++) {
        await Promise.race([mapping, yieldToEventLoop()])
        if (isMapped) return
      }
      mapping.catch(() => {})
      buffer.unmap()
      const rest = Math.max(1, (performance.now() - began) * REST_SHARE)
      await new Promise((resolve) => setTimeout(resolve, rest))
    }
  },
}

/**
 * Opens and closes error scopes, again and again. Chrome on Linux looks for finished work every 2
 * ms, and whenever it answers. No rest comes before: timers of hidden pages are a second late.
 */
export function scoped(device: GPUDevice): Wait {
  return {
    sleepsBefore: false,
    async map(buffer, bytes) {
      let isPending = true
      const mapping = plain.map(buffer, bytes).finally(() => (isPending = false))
      mapping.catch(() => {})
      try {
        while (isPending) {
          device.pushErrorScope('validation')
          await device.popErrorScope()
        }
      } catch {
        // The device is lost, which rejects the mapping, too.
      }
      await mapping
    },
  }
}
