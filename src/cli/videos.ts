/** Lists the videos in the arguments of a command: files, folders, patterns, lists, URLs. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { linesOf, readLines, VIDEO } from './listFile.ts'

/** A video in the list. */
export interface Listed {
  /** Path, URL, or "-" for standard input. */
  readonly source: string
  /** Value of {name}: the path relative to the given folder, without its extension. */
  readonly name: string
}

/** Videos of a command. */
export interface Videos {
  readonly all: readonly Listed[]
  /** Whether the argument is a single video, not a folder, pattern or list. */
  readonly single: boolean
}

const ADDRESS = /^[a-z][a-z\d+.-]+:\/\//i
const PATTERN = /[*?[\]{}]/

/**
 * Lists videos. Each is listed once. Videos of a folder or a pattern are sorted by path. A folder
 * stands for all videos in it, also in subfolders. A folder without videos is itself a video of
 * pictures. The path of an existing file is not a pattern.
 * @param list a text file with one path per line, or "-" for standard input
 * @throws TrecvitError if there are no arguments, a pattern matches nothing, or the list cannot be
 * read
 */
export async function listVideos(sources: readonly string[], list?: string): Promise<Videos> {
  const named = list === undefined ? sources : [...sources, ...(await readList(list))]
  const found = new Map<string, Listed>()
  let isExpanded = list !== undefined
  for (const source of named) {
    const videos = await expand(source)
    isExpanded ||= videos !== null
    for (const video of videos ?? [{ source, name: stem(source) }])
      found.set(keyOf(video.source), video)
  }
  if (found.size === 0) throw new TrecvitError('There is no video in the arguments')
  return { all: [...found.values()], single: named.length === 1 && !isExpanded }
}

/** Whether the source is a URL, not a path. */
export function isAddress(source: string): boolean {
  return ADDRESS.test(source)
}

/** Returns a text that is the same for all paths of a file, relative or absolute. */
export function keyOf(source: string): string {
  if (/^file:\/\//i.test(source)) return fileURLToPath(source)
  return source === '-' || isAddress(source) ? source : resolve(source)
}

/** Returns the error of a video, after its path or URL unless the error contains it. */
export function withSource(source: string, error: string): string {
  return error.includes(source) ? error : `${source}: ${error}`
}

/** Reads the lines of a text file. Skips empty lines and those that begin with #. */
async function readList(path: string): Promise<string[]> {
  const { text } = await import('node:stream/consumers')
  const lines =
    path === '-'
      ? linesOf(await text(process.stdin))
      : await readLines(path, 'as "--list" a text file with one path a line')
  return lines.filter((line) => line !== '' && !line.startsWith('#'))
}

/** Returns the videos of a folder or a pattern, or null for a single video. */
async function expand(source: string): Promise<Listed[] | null> {
  if (source === '-' || isAddress(source)) return null
  const { stat } = await import('node:fs/promises')
  const found = await stat(source).catch(() => null)
  if (found?.isDirectory()) {
    const paths = (await search('**/*', source)).filter((path) => VIDEO.test(path))
    if (paths.length === 0) {
      const { listImages } = await import('../video/picture/imageList.ts')
      await listImages(source).catch((cause: unknown) => {
        if (!(cause instanceof TrecvitError)) throw cause
        const kinds = 'no videos and no pictures (PNG, JPEG)'
        throw new TrecvitError(`The folder ${quote(source)} has ${kinds}`, { cause })
      })
      return null
    }
    const { join } = await import('node:path')
    return paths.map((path) => ({ source: join(source, path), name: withoutExtension(path) }))
  }
  if (found || !PATTERN.test(source)) return null
  const paths = await search(escapeParentheses(source.replaceAll('\\', '/')))
  if (paths.length === 0) throw new TrecvitError(`The pattern ${quote(source)} matches no file`)
  return paths.map((path) => ({ source: path, name: stem(path) }))
}

/** Lets parentheses of folder names stand for themselves, but not those of patterns like @(a|b). */
function escapeParentheses(pattern: string): string {
  return pattern.replace(/(?<![?*+@!])\(([^()]*)\)/g, '\\($1\\)')
}

async function search(pattern: string, cwd?: string): Promise<string[]> {
  const { glob } = await import('tinyglobby')
  const { isAbsolute } = await import('node:path')
  const absolute = isAbsolute(pattern)
  const options = { expandDirectories: false, absolute, ...(cwd !== undefined && { cwd }) }
  return (await glob(pattern, options)).sort()
}

function withoutExtension(path: string): string {
  return path.replace(/\.[^./\\]+$/, '')
}

/** Returns the file name without folder and extension. */
function stem(source: string): string {
  const path = isAddress(source) ? source.replace(/[?#].*$/, '') : source
  return withoutExtension(path.replace(/^.*[/\\]/, '')) || 'video'
}

/**
 * Returns the output path of each video: the pattern with {name} replaced.
 * @param option name of the option, for the error message
 * @throws TrecvitError if several videos would have the same output
 */
export function outputsFor(
  option: string,
  pattern: string,
  { all, single }: Videos,
): ReadonlyMap<Listed, string> {
  if (!single && !pattern.includes('{name}')) {
    throw new TrecvitError(
      `"${option}" of several videos expected a name with {name} in it, got ${quote(pattern)}`,
    )
  }
  const owners = new Map<string, Listed>()
  const outputs = new Map<Listed, string>()
  for (const video of all) {
    const path = pattern.replaceAll('{name}', () => video.name)
    const other = owners.get(path)
    if (other) {
      throw new TrecvitError(
        `${quote(other.source)} and ${quote(video.source)} would both be written to ` +
          `${quote(path)}; give their folder, so that {name} holds their paths below it`,
      )
    }
    owners.set(path, video)
    outputs.set(video, path)
  }
  return outputs
}
