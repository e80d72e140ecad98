import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { builtinModule } from '../platform/platform.ts'
import { cannotOpen, noFiles, pathOf } from './filePath.ts'
import type { Source } from './source.ts'
import { checkRange } from './source.ts'

/**
 * Opens a file on disk, in Node, Deno or Bun.
 * @throws TrecvitError if the file does not exist, is not a regular file or cannot be opened, or if
 * this runtime has no files
 */
export async function openFile(from: string | URL): Promise<Source> {
  const shown = quote(String(from))
  const fs = builtinModule('node:fs/promises')
  if (!fs) throw noFiles(`Path ${shown}`)
  const path = typeof from === 'string' ? from : pathOf(from)
  const refuse = (error: NodeJS.ErrnoException): never => {
    throw cannotOpen(String(from), error)
  }
  // Checked before opening: opening a named pipe waits for a writer.
  const stat = await fs.stat(path).catch(refuse)
  if (!stat.isFile())
    throw new TrecvitError(
      `Path ${shown} is ${stat.isDirectory() ? 'a directory' : 'not a regular file'}: ` +
        'give the path of a file',
    )
  const file = await fs.open(path, 'r').catch(refuse)
  const source: Source = {
    name: path.split(/[\\/]/).at(-1) ?? '',
    size: stat.size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await file
          .read(into, done, into.length - done, offset + done)
          .catch((error: Error) => {
            throw new TrecvitError(`The file at ${shown} cannot be read (${error.message})`, {
              cause: error,
            })
          })
        if (bytesRead === 0)
          throw new TrecvitError(
            `The file at ${shown} ended at byte ${offset + done} of ${stat.size}: it was changed`,
          )
        done += bytesRead
      }
    },
    close: () => file.close(),
  }
  return source
}
