/**
 * Runs a command: handles Ctrl-C, closed pipes, errors and exit codes.
 */
import type { Command } from 'commander'
import { messageOf, TrecvitError } from '../base/error.ts'
import { environment } from '../platform/platform.ts'
import { OutputError } from './output.ts'
import { note } from './terminal.ts'

/** Exit codes, documented in `--help`. */
export const exitCodes = {
  ok: 0,
  wrongInput: 1,
  usage: 2,
  unexpected: 70,
  interrupted: 130,
} as const

/** Options of all commands. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly quiet?: boolean
}

/** Reason why a command stops early. */
class Stop extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('The command was ended')
    this.exitCode = exitCode
  }
}

/**
 * Converts a function into an action of commander. The function receives the arguments, the options
 * and a signal. The first Ctrl-C aborts the signal, and so does a closed reader of standard output.
 * The command then ends with the results so far. A second Ctrl-C ends the process at once.
 */
export function action<
  Options extends GlobalOptions,
  Args extends readonly unknown[] = readonly (string | undefined)[],
>(
  work: (args: Args, options: Options, signal: AbortSignal) => Promise<void>,
): (...parameters: unknown[]) => Promise<void> {
  return async (...parameters) => {
    const command = parameters.pop() as Command
    const stop = new AbortController()
    const interrupt = (): void => stop.abort(new Stop(exitCodes.interrupted))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupt)
    process.stdout.on('error', (error) => {
      if (!stop.signal.aborted) stop.abort(new Stop(outputFailed(error)))
    })
    let code: number = exitCodes.ok
    try {
      await work(
        command.processedArgs as unknown as Args,
        command.optsWithGlobals<Options>(),
        stop.signal,
      )
    } catch (error) {
      if (!stop.signal.aborted || error instanceof OutputError) code = report(error)
    }
    // An open decoder or standard input would keep the process alive, so exit explicitly, but only
    // after all output is written.
    process.stdout.write('', () => {
      // An error of the last write is emitted after this callback.
      setImmediate(() => {
        const { reason } = stop.signal
        process.exit(code === exitCodes.ok && reason instanceof Stop ? reason.exitCode : code)
      })
    })
  }
}

/**
 * Reports why standard output cannot be written. Returns the exit code. A closed reader, such as
 * head, is not an error.
 */
export function outputFailed({ code, message }: NodeJS.ErrnoException): number {
  if (code === 'EPIPE') return exitCodes.ok
  const reason = code ?? message
  note(`trecvit: Standard output cannot be written (${reason}); check that there is room for it`)
  return exitCodes.wrongInput
}

const TOO_MANY_FILES =
  'Too many files are open (EMFILE): close some, or raise the limit with ulimit -n'

/** Returns the sentence for an error that the user can mend; undefined for any other error. */
function adviceOn(error: unknown): string | undefined {
  if (error instanceof TrecvitError) return error.message
  const { code, name, message } = (error ?? {}) as NodeJS.ErrnoException
  if (code === 'EMFILE' || code === 'ENFILE') return TOO_MANY_FILES
  // Deno's own message names the permission, its object and its flag.
  if (name === 'NotCapable')
    return `Deno lacks a permission (${message}); "deno run --allow-all" grants all of them`
  return undefined
}

/** Reports an error in one sentence. Returns the exit code. */
export function report(error: unknown): number {
  const advice = adviceOn(error)
  const expected = advice !== undefined
  const sentence = (advice ?? messageOf(error)).replace(/\s*\n\s*/g, ' ')
  if (expected) note(`trecvit: ${sentence}`)
  else
    note(
      `trecvit: Unexpected error: ${sentence}; please report it with the output of "trecvit ` +
        'doctor" and of this command with TRECVIT_DEBUG=1',
    )
  if (environment('TRECVIT_DEBUG') && error instanceof Error) note(error.stack ?? '')
  return expected ? exitCodes.wrongInput : exitCodes.unexpected
}
