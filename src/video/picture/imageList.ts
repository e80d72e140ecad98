import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { builtinModule } from '../../platform/platform.ts'

/**
 * Lists the pictures of a directory or of a printf pattern.
 *
 * Pictures of a directory are its PNG and JPEG files, sorted by the numbers in their names. Folders
 * and hidden files are ignored, such as the "._" files of macOS. Pictures of a pattern are numbered
 * from 0 or 1 to the first missing number.
 * @returns null if the path is neither
 * @throws TrecvitError if there are no pictures
 */
export async function listImages(path: string): Promise<string[] | null> {
  const fs = builtinModule('node:fs/promises')!
  const { join } = builtinModule('node:path')!
  const exists = (file: string): Promise<boolean> =>
    fs.access(file).then(
      () => true,
      () => false,
    )
  const stat = await fs.stat(path).catch(() => null)
  if (stat?.isDirectory()) {
    const isFolder = (name: string): Promise<boolean> =>
      fs.stat(join(path, name)).then(
        (found) => found.isDirectory(),
        () => false,
      )
    const names: string[] = []
    for (const name of await fs.readdir(path)) {
      if (/^[^.].*\.(png|jpe?g)$/i.test(name) && !(await isFolder(name))) names.push(name)
    }
    if (names.length === 0)
      throw new TrecvitError(
        `The directory ${quote(path)} holds no PNG or JPEG files: give a video, ` +
          'or a directory of pictures',
      )
    return names
      .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
      .map((name) => join(path, name))
  }
  const pattern = stat === null ? /^(.*)%(?:0(\d))?d([^%]*)$/.exec(path) : null
  if (pattern === null) return null
  const [, before, digits, after] = pattern
  const file = (n: number): string =>
    `${before}${String(n).padStart(Number(digits ?? 0), '0')}${after}`
  const files: string[] = []
  for (let n = (await exists(file(0))) ? 0 : 1; await exists(file(n)); n++) files.push(file(n))
  if (files.length === 0)
    throw new TrecvitError(
      `There is no file at ${quote(file(0))} nor ${quote(file(1))}: ` +
        'the numbers of a pattern start at 0 or 1',
    )
  return files
}
