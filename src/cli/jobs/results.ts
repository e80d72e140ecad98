/** Reads the videos of an archive and their results. */
import type { Archive } from './archive.ts'
import { byVideo, type Entry } from './types.ts'

/** Videos read with one command. */
const BATCH = 500

/** Returns all videos by name, the parts of a video by time. */
export async function entriesOf(archive: Archive): Promise<Entry[]> {
  // A scan may return a field twice.
  const found = new Map<string, string>()
  let cursor = '0'
  do {
    const scan = archive.redis.hscan(`${archive.key}:videos`, cursor, 'COUNT', BATCH)
    const [next, fields] = await archive.ask(scan)
    cursor = next
    for (let i = 0; i < fields.length; i += 2) found.set(fields[i]!, fields[i + 1]!)
  } while (cursor !== '0')
  return [...found.values()].map((text) => JSON.parse(text) as Entry).sort(byVideo)
}

/** Yields the videos with their results, or null where a job has none yet. */
export async function* resultsOf<Result>(
  archive: Archive,
  entries: readonly Entry[],
): AsyncGenerator<readonly [entry: Entry, result: Result | null]> {
  for (let at = 0; at < entries.length; at += BATCH) {
    const part = entries.slice(at, at + BATCH)
    const ids = part.map(({ id }) => id)
    const texts = await archive.ask(archive.redis.hmget(`${archive.key}:results`, ...ids))
    for (const [i, entry] of part.entries()) {
      const text = texts[i] ?? null
      yield [entry, text === null ? null : (JSON.parse(text) as Result)]
    }
  }
}
