import { type Command, Option } from 'commander'
import { integer } from '../../options.ts'

/** Options for the states of streams with ids. */
export interface StateOptions {
  readonly state?: string
  readonly stateDtype: 'f32' | 'f16'
  readonly stateLease: number
}

/** Adds --state, --state-dtype and --state-lease. */
export function addStateOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--state <url>',
        'Redis that keeps the states of streams with ids, like redis://localhost:6379; ' +
          'every server with the same one can continue them (default: memory of this server)',
      ).env('TRECVIT_STATE'),
    )
    .addOption(
      new Option('--state-dtype <name>', 'number format of states; f16 halves them, and rounds')
        .choices(['f32', 'f16'])
        .default('f32'),
    )
    .option(
      '--state-lease <s>',
      'seconds after which the streams of a lost server are free for other clients',
      integer(1, 3600),
      5,
    )
}
