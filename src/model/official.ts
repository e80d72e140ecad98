/**
 * A checkpoint under the official names of its tensors.
 */

import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { type Checkpoint, openCheckpoint } from '../checkpoint/checkpoint.ts'
import type { SourceLike } from '../checkpoint/openSource.ts'

/** A checkpoint whose tensors have official names. */
export interface Official {
  readonly checkpoint: Checkpoint
  /** Prefix of the names in the file that official names do not have; '' for most files. */
  readonly prefix: string
}

/** A tensor that every model has. */
const MARK = 'tokenizer/embedding/kernel'
/** Flax saves parameters under "params/", and trainers save models under "model/". */
const PREFIXED = new RegExp(`^((?:params/|model/){1,3})${MARK}$`)

/**
 * Opens a checkpoint and removes the prefix that Flax puts before the names.
 * @param options.signal aborts opening and, for HTTP, every later request
 * @throws TrecvitError if the file cannot be read, or contains several models
 */
export async function openOfficial(
  from: SourceLike,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Official> {
  const checkpoint = await openCheckpoint(from, options)
  try {
    const prefix = prefixOf(checkpoint)
    return { checkpoint: prefix === '' ? checkpoint : without(prefix, checkpoint), prefix }
  } catch (error) {
    await checkpoint.close()
    throw error
  }
}

/**
 * Returns the warnings about the names of a checkpoint.
 * @param ignored names that are not part of the model
 */
export function nameWarnings(
  { checkpoint: { name }, prefix }: Official,
  ignored: readonly string[],
): string[] {
  const warnings: string[] = []
  if (prefix !== '') {
    warnings.push(`The names of the tensors in ${name} begin with "${prefix}", which is removed`)
  }
  if (ignored.length > 0) {
    const shown = ignored
      .slice(0, SHOWN)
      .map((name) => quote(name))
      .join(', ')
    const more = ignored.length > SHOWN ? ` and ${ignored.length - SHOWN} more` : ''
    warnings.push(`${name} has entries outside the model, which are ignored: ${shown}${more}`)
  }
  return warnings
}

/** Largest number of names in a warning. */
const SHOWN = 20

function prefixOf({ name, tensors }: Checkpoint): string {
  if (tensors.has(MARK)) return ''
  const prefixes = [...tensors.keys()].flatMap((key) => PREFIXED.exec(key)?.[1] ?? [])
  if (prefixes.length < 2) return prefixes[0] ?? ''
  const list = prefixes.map((prefix) => `"${prefix}"`).join(' and ')
  throw new TrecvitError(`${name} contains a model under each of ${list}; save only one of them`)
}

/**
 * Returns the same checkpoint with the prefix removed from its names. Names without the prefix do
 * not change.
 */
function without(prefix: string, checkpoint: Checkpoint): Checkpoint {
  const { tensors, skipped } = checkpoint
  const short = (name: string): string => {
    const rest = name.startsWith(prefix) ? name.slice(prefix.length) : name
    if (rest !== name && (tensors.has(rest) || skipped.has(rest))) {
      throw new TrecvitError(
        `${checkpoint.name} has ${quote(rest)} with and without "${prefix}"; ` +
          'save only one of them',
      )
    }
    return rest
  }
  const infos = Array.from(tensors.values(), (info) => ({ ...info, name: short(info.name) }))
  return {
    ...checkpoint,
    tensors: new Map(infos.map((info) => [info.name, info])),
    skipped: new Map(Array.from(skipped, ([name, why]) => [short(name), why])),
    read: (name, sink, signal) =>
      checkpoint.read(tensors.has(name) ? name : prefix + name, sink, signal),
  }
}
