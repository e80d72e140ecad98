import type { FileHandle } from 'node:fs/promises'
import { TrecvitError } from '../../base/error.ts'
import { capital } from './media.ts'
import type { Bytes } from './seekable.ts'

/** Returns the bytes of an open file. */
export function fileBytes(file: FileHandle, name: string, size: number): Bytes {
  return {
    name,
    size,
    async read(offset, length) {
      const into = new Uint8Array(length)
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(into, done, length - done, offset + done)
        if (bytesRead === 0) {
          const end = `byte ${offset + done} of ${size}`
          throw new TrecvitError(`${capital(name)} ended at ${end}: it changed while it was read`)
        }
        done += bytesRead
      }
      return into
    },
    close: () => file.close(),
  }
}
