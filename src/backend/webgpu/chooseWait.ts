import { Submits } from './submits.ts'
import { COPY_SRC } from './usage.ts'
import { plain, resting, scoped, submitting, type Wait } from './wait.ts'

const { navigator } = globalThis as { navigator?: { userAgent?: string; gpu?: GPU } }

/** Read-backs that are timed with each way to wait, after one that is not. */
const ROUNDS = 5
/** Least gain in milliseconds, and as a share of the usual time. */
const GAIN = 0.5
const GAIN_SHARE = 0.25

const median = (times: readonly number[]): number =>
  [...times].sort((one, other) => one - other)[times.length >> 1]!

const chosen = new WeakMap<GPUDevice, Promise<Wait>>()

/** Returns the way to wait on a device of this runtime. In Chrome it is measured, once a device. */
export function waitOf(device: GPUDevice): Promise<Wait> {
  let wait = chosen.get(device)
  if (!wait) {
    wait = choose(device)
    chosen.set(device, wait)
  }
  return wait
}

async function choose(device: GPUDevice): Promise<Wait> {
  if (!navigator?.gpu) return resting
  const { userAgent = '' } = navigator
  if (userAgent.includes('Firefox/')) return submitting(device)
  if (!userAgent.includes('Chrome/')) return plain
  const buffer = device.createBuffer({ label: 'timed', size: 4, usage: COPY_SRC })
  try {
    return await faster(plain, scoped(device), async (wait) => {
      const submits = new Submits(device, wait)
      const began = performance.now()
      await submits.run([{ buffer, offset: 0, bytes: 4 }], () => {})
      const milliseconds = performance.now() - began
      submits.dispose()
      return milliseconds
    })
  } finally {
    buffer.destroy()
  }
}

/**
 * Returns the other way to wait if it is clearly faster than the usual one.
 * @param time returns the milliseconds of a read-back
 */
export async function faster(
  usual: Wait,
  other: Wait,
  time: (wait: Wait) => Promise<number>,
): Promise<Wait> {
  const [before, after]: [number[], number[]] = [[], []]
  for (let round = 0; round <= ROUNDS; round++)
    for (const [wait, times] of [
      [usual, before],
      [other, after],
    ] as const) {
      const milliseconds = await time(wait)
      if (round) times.push(milliseconds)
    }
  const gain = median(before) - median(after)
  return gain >= Math.max(GAIN, GAIN_SHARE * median(before)) ? other : usual
}
