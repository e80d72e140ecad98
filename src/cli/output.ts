/**
 * Files that are whole or not there: written under another name beside their place, renamed at the end.
 */
import { TrecvitError } from '../error.ts'

/** A file that is being written. */
export interface Output {
  /** Appends, or writes over what is at `position`. The bytes may change once the promise resolves. */
  write(bytes: Uint8Array, position?: number): Promise<void>
}

/**
 * Writes a file; if the work fails, nothing is left behind.
 * @throws TrecvitError if the file is there already (and may not be replaced) or cannot be written; and whatever the work throws
 */
export async function writeOutput(path: string, { replace }: { replace: boolean }, work: (output: Output) => Promise<void>): Promise<void> {
  const fs = await import('node:fs/promises')
  const refuse = (error: NodeJS.ErrnoException): never => {
    throw new TrecvitError(`"${path}" cannot be written (${error.code ?? error.message}); check that its folder exists, may be written to and has room`, { cause: error })
  }
  const stat = await fs.stat(path).catch(() => undefined)
  if (stat?.isDirectory()) throw new TrecvitError(`"${path}" is a directory; give the name of a file`)
  if (stat && !replace) throw new TrecvitError(`"${path}" is there already; give another name, or --force to replace it`)
  const temporary = `${path}.${process.pid}.part`
  const file = await fs.open(temporary, 'wx').catch(refuse)
  try {
    await work({
      async write(bytes, position) {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position === undefined ? null : position + done).catch(refuse)
          done += bytesWritten
        }
      },
    })
    await file.close()
    await fs.rename(temporary, path).catch(refuse)
  } catch (error) {
    await file.close().catch(() => {})
    await fs.rm(temporary, { force: true })
    throw error
  }
}
