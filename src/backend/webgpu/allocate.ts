import { TrecvitError } from '../../base/error.ts'
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts'

/** A buffer to be taken: what it is, and its bytes. */
export interface Wanted {
  readonly name: string
  readonly bytes: number
}

/**
 * Takes one storage buffer for each, zero, with 16 bytes to spare: kernels fetch 4 elements at a
 * time, up to 3 beyond the last. Sizes are compared with the limits of the device before anything
 * is taken.
 * @param what the buffers as a whole, for the message
 * @param instead what would fit
 * @throws TrecvitError saying what is too large, how much is missing, and what would fit
 */
export async function allocate(
  device: GPUDevice,
  what: string,
  wanted: readonly Wanted[],
  instead: string,
): Promise<GPUBuffer[]> {
  const sizes = wanted.map(({ bytes }) => Math.ceil(bytes / 16) * 16 + 16)
  const total = mega(sizes.reduce((sum, size) => sum + size, 0))
  const most = largestPiece(device)
  const largest = sizes.indexOf(Math.max(...sizes))
  if (sizes[largest]! > most) {
    throw new TrecvitError(
      `${what} need ${total} on the GPU, of which "${wanted[largest]!.name}" ` +
        `${mega(sizes[largest]!)} in one piece, more than the ${mega(most)} that this device ` +
        `allows; what would fit: ${instead}`,
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
    `${what} need ${total} on the GPU, which has no such memory left; what would fit: ${instead}`,
  )
}

/** Bytes of the largest buffer that a kernel can be given. */
export function largestPiece({ limits }: GPUDevice): number {
  return Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize)
}

const mega = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`
