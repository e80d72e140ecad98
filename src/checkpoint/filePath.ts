/**
 * File paths, file: URLs, and errors for files that cannot be opened.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { builtinModule } from '../platform/platform.ts'

/**
 * Returns the path of a file: URL.
 * @throws TrecvitError if the URL is not a path on this machine
 */
export function pathOf(url: URL): string {
  const shown = quote(url.href)
  const node = builtinModule('node:url')
  if (!node) throw noFiles(`URL ${shown}`)
  try {
    return node.fileURLToPath(url)
  } catch (cause) {
    // The URL has a host name or an encoded "/".
    const advice = 'give the path itself, or file:///PATH'
    const reason = (cause as Error).message
    throw new TrecvitError(`URL ${shown} names no file (${reason}): ${advice}`, { cause })
  }
}

/** Returns the error for a runtime without files. */
export function noFiles(what: string): TrecvitError {
  const reason = 'this runtime has no file system'
  return new TrecvitError(
    `${what} cannot be opened, because ${reason}: pass a URL object or a Blob`,
  )
}

/** Returns the error for a file that cannot be opened. */
export function cannotOpen(path: string, error: NodeJS.ErrnoException): TrecvitError {
  const shown = quote(path)
  if (error.code === 'ENOENT') return new TrecvitError(`There is no file at ${shown}`)
  const advice = ['EMFILE', 'ENFILE'].includes(error.code ?? '')
    ? ': close some files, or raise the limit with ulimit -n'
    : ''
  const message = `The file at ${shown} cannot be opened (${error.code ?? error.message})${advice}`
  return new TrecvitError(message, { cause: error })
}
