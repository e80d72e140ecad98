import { TrecvitError } from './error.ts'

/**
 * Returns a handler for `catch` of a dynamic import. It throws an error that says what is not
 * available and what to do instead. Service workers refuse dynamic imports.
 */
export function notImported(what: string, instead: string): (cause: unknown) => never {
  return (cause) => {
    throw new TrecvitError(`${what} cannot be imported on demand here: ${instead}`, { cause })
  }
}
