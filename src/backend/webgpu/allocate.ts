import { TrecvitError } from '../../error.ts'
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts'

/** A buffer to be taken: what it is, and its bytes. */
export interface Wanted {
  readonly name: string
  readonly bytes: number
}

/**
 * Takes one storage buffer for each, zero, with 16 bytes to spare: kernels fetch 4 elements at a time, up to 3 beyond the last. Sizes are
 * compared with the limits of the device before anything is taken.
 * @param what the buffers as a whole, for the message
 * @throws TrecvitError saying what is too large and what would fit
 */
export async function allocate(device: GPUDevice, what: string, wanted: readonly Wanted[]): Promise<GPUBuffer[]> {
  const sizes = wanted.map(({ bytes }) => Math.ceil(bytes / 16) * 16 + 16)
  const total = mega(sizes.reduce((sum, size) => sum + size, 0))
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize)
  wanted.forEach(({ name }, index) => {
    if (sizes[index]! > most) {
      throw new TrecvitError(`${what} need ${total} on the GPU, of which "${name}" ${mega(sizes[index]!)} in one piece, but this device allows pieces of ${mega(most)}; a smaller model, chunk or number of streams would fit`)
    }
  })
  device.pushErrorScope('out-of-memory')
  const buffers = wanted.map(({ name }, index) => device.createBuffer({ label: name, size: sizes[index]!, usage: STORAGE | COPY_SRC | COPY_DST }))
  const error = await device.popErrorScope()
  if (!error) return buffers
  for (const buffer of buffers) buffer.destroy()
  throw new TrecvitError(`${what} need ${total} on the GPU, which has no such memory left; a smaller model, chunk or number of streams would fit`)
}

const mega = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`
