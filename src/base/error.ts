/**
 * Error for wrong input: a file, an argument, a frame or a model. The message is one sentence. It
 * names the thing, and says what was expected, what came and what to do. The command line prints it
 * without a stack trace.
 */
export class TrecvitError extends Error {
  /** Identifies the error to callers with another copy of the class. */
  override name = 'TrecvitError'
}

/** Returns the message of a thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
