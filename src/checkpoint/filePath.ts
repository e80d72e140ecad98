/**
 * Paths and addresses of files, and why they cannot be opened.
 */
import { TrecvitError } from '../error.ts'
import { builtinModule } from '../platform/platform.ts'
import { quote } from './quote.ts'

/**
 * Returns the path that a file: URL names.
 * @throws TrecvitError when it names none on this machine
 */
export function pathOf(url: URL): string {
  const shown = quote(url.href)
  const node = builtinModule('node:url')
  if (!node) {
    const reason = 'this runtime has no file system: pass a Blob'
    throw new TrecvitError(`URL ${shown} cannot be opened, because ${reason}`)
  }
  try {
    return node.fileURLToPath(url)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const { message } = error as Error
    const reason =
      code === 'ERR_INVALID_FILE_URL_HOST' ? `has the host ${quote(url.host)} before its path`
      : code === 'ERR_INVALID_FILE_URL_PATH' ? 'has an encoded "/" or another forbidden path'
      : `is not the address of a file (${message})`
    const advice = 'give the path itself, or file:///PATH'
    throw new TrecvitError(`URL ${shown} ${reason}: ${advice}`, { cause: error })
  }
}

/** Returns the error of a file that cannot be opened. */
export function cannotOpen(path: string, error: NodeJS.ErrnoException): TrecvitError {
  const shown = quote(path)
  if (error.code === 'ENOENT') return new TrecvitError(`There is no file at ${shown}`)
  const advice = ['EMFILE', 'ENFILE'].includes(error.code ?? '')
    ? ': too many files are open, so close some or raise the limit with ulimit -n' : ''
  const message = `The file at ${shown} cannot be opened (${error.code ?? error.message})${advice}`
  return new TrecvitError(message, { cause: error })
}
