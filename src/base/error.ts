/**
 * Wrong input: a file, an argument, a frame or a model that does not fit. The message is one
 * sentence that names the thing, what was expected, what came and what to do; the command line
 * prints it without a stack trace.
 */
export class TrecvitError extends Error {
  /** For callers that hold another copy of the class. */
  override name = 'TrecvitError'
}

/** Text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
