import { TrecvitError } from '../../base/error.ts'
import { type Size, sizeNames } from '../../model/config.ts'

/** Options of a bench as given: values by name, without the dashes. */
export type Options = Readonly<Record<string, string>>

/**
 * Parses options of the form --name value.
 * @throws TrecvitError if an argument is not an option with a value
 */
export function parseOptions(args: readonly string[]): Options {
  const options: Record<string, string> = {}
  for (let i = 0; i < args.length; i += 2) {
    const [name, value] = [args[i]!, args[i + 1]]
    if (!name.startsWith('--') || value === undefined)
      throw new TrecvitError(
        `A bench expected options in the form --name value, got ${args.slice(i).join(' ')}`,
      )
    options[name.slice(2)] = value
  }
  return options
}

/**
 * Returns the settings of a bench: the given options, and the defaults of the others. Numbers are
 * integers of at least 1, except "seconds", which is any number above 0.
 * @throws TrecvitError if there is no setting of that name, or the value is not such a number
 */
export function settingsOf<T extends Record<string, string | number>>(
  options: Options,
  defaults: T,
): { [Name in keyof T]: T[Name] extends number ? number : string } {
  const settings: Record<string, string | number> = { ...defaults }
  for (const [name, text] of Object.entries(options)) {
    if (!Object.hasOwn(defaults, name))
      throw new TrecvitError(
        `This bench expected one of --${Object.keys(defaults).join(', --')}, --out, got --${name}`,
      )
    const value = typeof defaults[name] === 'number' ? Number(text) : text
    if (name === 'seconds' && !(Number(value) > 0 && Number.isFinite(value)))
      throw new TrecvitError(`"--seconds" expected a number above 0, got ${text}`)
    if (name !== 'seconds' && typeof value === 'number' && (!Number.isInteger(value) || value < 1))
      throw new TrecvitError(`"--${name}" expected an integer of at least 1, got ${text}`)
    settings[name] = value
  }
  return settings as { [Name in keyof T]: T[Name] extends number ? number : string }
}

/**
 * Parses a comma-separated list of model sizes.
 * @throws TrecvitError if a size has no such name
 */
export function sizesOf(text: string): Size[] {
  return text.split(',').map((name) => oneOf('size', name, sizeNames))
}

/**
 * Returns the value of a setting.
 * @throws TrecvitError if it is not one of the accepted values
 */
export function oneOf<Value extends string>(
  setting: string,
  text: string,
  values: readonly Value[],
): Value {
  const found = values.find((value) => value === text)
  if (found === undefined)
    throw new TrecvitError(`"--${setting}" expected one of ${values.join(', ')}, got ${text}`)
  return found
}
