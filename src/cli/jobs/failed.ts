/** trecvit jobs failed, retry and clear. */
import type { GlobalOptions } from '../run.ts'
import { print } from '../terminal.ts'
import { withSource } from '../videos.ts'
import { Archive } from './archive.ts'
import type { ArchiveOptions } from './types.ts'

type Options = ArchiveOptions & GlobalOptions

/** Prints the videos that have failed at every attempt, with the reasons. */
export function failed(options: Options): Promise<void> {
  return withArchive(options, async (archive) => {
    for (const { video, error } of await archive.failed())
      print(options.json ? JSON.stringify({ video, error }) : withSource(video, error))
  })
}

/** Lets these videos wait again. */
export function retry(options: Options): Promise<void> {
  return withArchive(options, async (archive) => {
    const retried = await archive.retry()
    if (options.json) print(JSON.stringify({ retried }))
    else if (!options.quiet) print(`${retried} ${retried === 1 ? 'job waits' : 'jobs wait'} again`)
  })
}

/** Removes all jobs and results. */
export function clear(options: Options): Promise<void> {
  return withArchive(options, (archive) => archive.clear())
}

async function withArchive(
  options: ArchiveOptions,
  work: (archive: Archive) => Promise<void>,
): Promise<void> {
  const archive = await Archive.open(options)
  try {
    await work(archive)
  } finally {
    await archive.close()
  }
}
