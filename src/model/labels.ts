import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { decodeText } from '../platform/web.ts'

/**
 * Returns the names of a model's classes: the given ones, else those in the checkpoint, else for
 * 400 classes those of Kinetics-400 (in the official order: alphabetical), else null.
 * @throws TrecvitError if their number differs from the number of classes
 */
export async function labelsFor(
  numClasses: number,
  given: readonly string[] | undefined,
  carried: string | undefined,
): Promise<readonly string[] | null> {
  if (numClasses === 0) return null
  const labels =
    given ??
    (carried === undefined ? undefined : parse(carried)) ??
    (numClasses === 400 ? await kinetics400() : null)
  if (labels && labels.length !== numClasses)
    throw new TrecvitError(
      `"labels" expected ${numClasses} names, one for each class, got ${labels.length}`,
    )
  return labels
}

async function kinetics400(): Promise<string[]> {
  return (await import('../../models/kinetics400.txt')).default.trim().split(/\r?\n/)
}

function parse(json: string): string[] {
  let labels: unknown
  try {
    labels = JSON.parse(json)
  } catch {
    labels = null
  }
  if (!Array.isArray(labels) || labels.some((label) => typeof label !== 'string')) {
    throw new TrecvitError('The "labels" in the metadata are no list of strings; pass "labels"')
  }
  return labels as string[]
}

/**
 * Parses a file of labels: one name a line, in UTF-8, or in UTF-16 with a byte-order mark. Any line
 * ending is accepted. Empty lines at the end are ignored.
 * @param name name of the file, for errors
 * @throws TrecvitError if the bytes are in another encoding
 */
export function parseLabels(bytes: Uint8Array, name: string): string[] {
  const mark = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)
  const encoding = mark === 0xfffe ? 'utf-16le' : mark === 0xfeff ? 'utf-16be' : 'utf-8'
  let text: string
  try {
    text = decodeText(bytes, encoding, { fatal: true })
  } catch (cause) {
    const fault = `are not ${encoding} text`
    throw new TrecvitError(`The labels at ${quote(name)} ${fault}; save them as UTF-8`, { cause })
  }
  // UTF-16 without a byte-order mark, or a binary file.
  if (text.includes('\0')) {
    throw new TrecvitError(`The labels at ${quote(name)} contain zero bytes; save them as UTF-8`)
  }
  return text.trimEnd().split(/\r\n|\n|\r/)
}
