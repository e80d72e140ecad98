/**
 * Runs a command: Ctrl-C, closed pipes, errors, exit codes.
 */
import type { Command } from 'commander'
import { TrecvitError } from '../base/error.ts'
import { environment } from '../platform/platform.ts'
import { OutputError } from './output.ts'
import { note } from './terminal.ts'

/** Exit codes; `--help` lists them. */
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

/** Why a command ends before its work is done. */
class Stop extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('The command was ended')
    this.exitCode = exitCode
  }
}

/**
 * Turns the work of a command into what commander calls. The work gets the arguments, the options,
 * and a signal that is aborted by the first Ctrl-C and when nobody reads standard output any more;
 * it then ends with what it has. A second Ctrl-C kills.
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
    // A decoder or standard input that is still open must not keep the process; what was written
    // must be out.
    process.stdout.write('', () => {
      // An error of the last write is emitted after this is called.
      setImmediate(() => {
        const { reason } = stop.signal
        process.exit(code === exitCodes.ok && reason instanceof Stop ? reason.exitCode : code)
      })
    })
  }
}

/**
 * Says why standard output cannot be written, and gives the exit code. A reader that has ended, as
 * head does, is no error.
 */
export function outputFailed({ code, message }: NodeJS.ErrnoException): number {
  if (code === 'EPIPE') return exitCodes.ok
  const reason = code ?? message
  note(`trecvit: Standard output cannot be written (${reason}); check that there is room for it`)
  return exitCodes.wrongInput
}

const TOO_MANY_FILES =
  'Too many files are open (EMFILE): close some, or raise the limit with ulimit -n'

/** Says what went wrong in one sentence, and gives the exit code. */
export function report(error: unknown): number {
  const isLimit = ['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException | null)?.code ?? '')
  const expected = error instanceof TrecvitError || isLimit
  const message = isLimit ? TOO_MANY_FILES : error instanceof Error ? error.message : String(error)
  const sentence = message.replace(/\s*\n\s*/g, ' ')
  if (expected) note(`trecvit: ${sentence}`)
  else
    note(
      `trecvit: Unexpected error: ${sentence}; please report it with the output of "trecvit ` +
        'doctor" and of this command with TRECVIT_DEBUG=1',
    )
  if (environment('TRECVIT_DEBUG') && error instanceof Error) note(error.stack ?? '')
  return expected ? exitCodes.wrongInput : exitCodes.unexpected
}
