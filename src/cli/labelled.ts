/** Lists videos with their classes: a folder for each class, or a table of paths and classes. */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { readLines } from './listFile.ts'
import { isAddress, listVideos } from './videos.ts'

/** A video and its class. */
export interface Labelled {
  /** Path or URL. */
  readonly source: string
  /** Name of the class. */
  readonly label: string
}

const EXPECTED =
  'a folder with a folder of videos for each class, or a text file of lines with a path and a class'

/**
 * Lists videos with their classes.
 * @param from a folder whose subfolders are the classes; or a text file of lines with a path and a
 * class, separated by the last comma or space, as in the lists of Kinetics. Both may be in quotes.
 * Paths are relative to the file
 * @throws TrecvitError if it cannot be read or has no videos in classes
 */
export async function listLabelled(from: string): Promise<Labelled[]> {
  const { stat } = await import('node:fs/promises')
  const found = await stat(from).catch((cause: NodeJS.ErrnoException) => {
    throw new TrecvitError(`${quote(from)} cannot be read (${cause.code}); give ${EXPECTED}`, {
      cause,
    })
  })
  return found.isDirectory() ? listFolder(from) : listTable(from)
}

/** Returns the classes of videos, in numeric order if all are numbers, else alphabetical. */
export function classesOf(videos: readonly Labelled[]): string[] {
  const names = [...new Set(videos.map(({ label }) => label))]
  return names.every((name) => /^\d+$/.test(name))
    ? names.sort((one, other) => Number(one) - Number(other))
    : names.sort()
}

async function listFolder(folder: string): Promise<Labelled[]> {
  const { all } = await listVideos([folder])
  const videos = all.flatMap(({ source, name }) =>
    /[/\\]/.test(name) ? [{ source, label: name.split(/[/\\]/)[0]! }] : [],
  )
  if (videos.length === 0)
    throw new TrecvitError(
      `${quote(folder)} expected a folder for each class, with its videos, and has none`,
    )
  return videos
}

async function listTable(path: string): Promise<Labelled[]> {
  const { dirname, resolve } = await import('node:path')
  const lines = await readLines(path, EXPECTED)
  return lines.flatMap((text, index): Labelled[] => {
    if (text === '' || text.startsWith('#')) return []
    const fields = /^(".+"|.+?)\s*[,\s]\s*("[^",]+"|[^,\s]+)$/.exec(text)?.slice(1) ?? []
    const [source, label] = fields.map(unquoted)
    if (!source || !label)
      throw new TrecvitError(
        `Line ${index + 1} of ${quote(path)} expected a path and a class, got ${quote(text)}`,
      )
    return [{ source: isAddress(source) ? source : resolve(dirname(path), source), label }]
  })
}

/** Returns the value of a CSV field, which may be in quotes. */
function unquoted(field: string): string {
  return /^".*"$/.test(field) ? field.slice(1, -1).replaceAll('""', '"') : field
}
