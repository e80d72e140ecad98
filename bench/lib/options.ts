import { TrecvitError } from '../../src/error.ts'

/** What stands on the command line of a bench: --name value, each at most once. */
export type Options = Readonly<Record<string, string>>

/**
 * @throws TrecvitError if an argument is not an option with a value
 */
export function parseOptions(args: readonly string[]): Options {
  const options: Record<string, string> = {}
  for (let i = 0; i < args.length; i += 2) {
    const [name, value] = [args[i]!, args[i + 1]]
    if (!name.startsWith('--') || value === undefined) throw new TrecvitError(`A bench expected options in the form --name value, got ${args.slice(i).join(' ')}`)
    options[name.slice(2)] = value
  }
  return options
}

/**
 * A whole number of at least 1.
 * @throws TrecvitError if it is none
 */
export function count(options: Options, name: string, otherwise: number): number {
  const value = options[name] === undefined ? otherwise : Number(options[name])
  if (!Number.isInteger(value) || value < 1) throw new TrecvitError(`"--${name}" expected a whole number of at least 1, got ${options[name]}`)
  return value
}
