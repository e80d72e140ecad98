import { describe } from './array.ts'
import { TrecvitError } from './error.ts'

/** The names of all options of a kind. */
export type OptionNames<Options> = Readonly<Record<keyof Options, 1>>

/**
 * Refuses unknown options. A misspelt option would otherwise be ignored.
 * @param what the call, for the message
 * @param names of all options
 * @throws TrecvitError naming the option and the one that it resembles
 */
export function checkOptions<Options extends object>(
  what: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  if (options === null || typeof options !== 'object')
    throw new TrecvitError(`"${what}" expected an object of options, got ${describe(options)}`)
  const known = Object.keys(names)
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const [near] = known
      .map((one) => ({ one, edits: edits(name.toLowerCase(), one.toLowerCase()) }))
      .filter(({ one, edits }) => edits <= one.length / 3 + 1)
      .sort((one, other) => one.edits - other.edits)
    throw new TrecvitError(
      `"${what}" has no option "${name}"; ` +
        (near ? `did you mean "${near.one}"?` : `it has ${known.join(', ')}`),
    )
  }
}

/** Returns the Levenshtein distance: the number of letters to insert, remove or replace. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, j) => j)
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++)
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (from[i] === to[j] ? 0 : 1)))
    row = next
  }
  return row.at(-1)!
}
