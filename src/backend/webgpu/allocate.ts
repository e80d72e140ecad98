import { TrecvitError } from '../../base/error.ts'
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts'

/** A buffer to allocate: its name, and its size in bytes. */
export interface Wanted {
  readonly name: string
  readonly bytes: number
}

/**
 * Allocates storage buffers, all zero, each with 16 spare bytes: kernels load 4 elements at a time,
 * up to 3 beyond the last. Sizes are compared with the limits of the device first.
 * @param what name of all buffers together, for the error
 * @param instead what to use instead, for the error
 * @throws TrecvitError with what is too large, the limit, and what to use instead
 */
export async function allocate(
  device: GPUDevice,
  what: string,
  wanted: readonly Wanted[],
  instead: string,
): Promise<GPUBuffer[]> {
  const sizes = wanted.map(({ bytes }) => Math.ceil(bytes / 16) * 16 + 16)
  const total = mega(sizes.reduce((sum, size) => sum + size, 0))
  const most = largestBuffer(device)
  const largest = sizes.indexOf(Math.max(...sizes))
  if (sizes[largest]! > most) {
    throw new TrecvitError(
      `${what} need ${total} on the GPU, of which "${wanted[largest]!.name}" ` +
        `${mega(sizes[largest]!)} in one buffer; this device allows at most ${mega(most)}; ` +
        `use ${instead}`,
    )
  }
  device.pushErrorScope('out-of-memory')
  const buffers = wanted.map(({ name }, index) =>
    device.createBuffer({ label: name, size: sizes[index]!, usage: STORAGE | COPY_SRC | COPY_DST }),
  )
  const error = await device.popErrorScope()
  if (!error) return buffers
  for (const buffer of buffers) buffer.destroy()
  throw new TrecvitError(
    `${what} need ${total} on the GPU, which has no such memory left; use ${instead}`,
  )
}

/** Returns the size of the largest buffer that can be bound, in bytes. */
export function largestBuffer({ limits }: GPUDevice): number {
  return Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize)
}

const mega = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`
