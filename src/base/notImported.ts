import { TrecvitError } from './error.ts'

/**
 * For `catch` of an import on demand: throws what is not available, and what to do instead. Service
 * workers refuse such imports.
 */
export function notImported(what: string, instead: string): (cause: unknown) => never {
  return (cause) => {
    throw new TrecvitError(`${what} cannot be imported on demand here: ${instead}`, { cause })
  }
}
