/**
 * Weights in the user's cache folder, in Node, Deno and Bun. An incomplete file is in the folder of
 * its download. It is renamed to its final name once it is complete.
 */
import { messageOf, TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { builtinModule, environment, importOptional } from '../platform/platform.ts'
import type { Weights } from './known.ts'

/** Number formats that a file in the cache may have. */
export type Form = 'f32' | 'f16' | 'int8'
const forms: readonly Form[] = ['f32', 'f16', 'int8']

/** Record of a completely downloaded file, kept beside it as JSON. */
export interface DownloadRecord {
  readonly url: string
  readonly bytes: number
  readonly sha256: string
  /** Time of the download, as ISO 8601. */
  readonly date: string
}

/** A file in the cache. */
export interface Kept {
  readonly form: Form
  readonly path: string
  readonly bytes: number
}

/** Modules that every runtime of this file has. */
export const fs: typeof import('node:fs/promises') = builtinModule('node:fs/promises')!
export const path: typeof import('node:path') = builtinModule('node:path')!
export const crypto: typeof import('node:crypto') = builtinModule('node:crypto')!

/**
 * Returns the cache folder: TRECVIT_CACHE, or by default the system's cache folder of this user. It
 * may not exist yet.
 * @throws TrecvitError if the package env-paths, which locates it, is not installed or lacks
 * permissions
 */
export async function cacheFolder(): Promise<string> {
  const own = environment('TRECVIT_CACHE')
  if (own) return path.resolve(own)
  try {
    const { default: paths } = (await importOptional('env-paths')) as typeof import('env-paths')
    return paths('trecvit', { suffix: '' }).cache
  } catch (cause) {
    // Deno may forbid to read the package, the environment or the home folder.
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
    throw new TrecvitError(
      isMissing
        ? 'The cache folder of this system is not known without the package "env-paths": ' +
            'install it, or set TRECVIT_CACHE to a folder'
        : `The cache folder of this system cannot be found (${messageOf(cause)})`,
      { cause },
    )
  }
}

/** Returns the path of the file in this format. It may not exist. */
export async function pathOf({ file }: Weights, form: Form): Promise<string> {
  const name = form === 'f32' ? file : file.replace(/npz$/, `${form}.safetensors`)
  return path.join(await cacheFolder(), name)
}

/**
 * Returns the file for a number format: one in this format, or float32, which can be converted to
 * every other. Without a format, returns the most precise one.
 * @throws TrecvitError if the file has another size than when it was downloaded
 */
export async function find(weights: Weights, dtype?: Form): Promise<Kept | undefined> {
  const order = dtype === undefined ? forms : [...new Set([dtype, 'f32' as const])]
  for (const form of order) {
    const place = await pathOf(weights, form)
    const bytes = await sizeOf(place)
    if (bytes === undefined) continue
    const record = form === 'f32' ? await recordOf(weights) : undefined
    if (record && record.bytes !== bytes)
      throw new TrecvitError(
        `The file at ${quote(place)} has ${bytes} bytes and had ${record.bytes} when it was ` +
          `downloaded: remove it with "trecvit models --remove ${weights.name}", and pull it again`,
      )
    return { form, path: place, bytes }
  }
  return undefined
}

/** Returns the complete files of these weights. */
export async function list(weights: Weights): Promise<Kept[]> {
  const all = await Promise.all(
    forms.map(async (form) => {
      const place = await pathOf(weights, form)
      return { form, path: place, bytes: await sizeOf(place) }
    }),
  )
  return all.filter((one): one is Kept => one.bytes !== undefined)
}

/** Removes all files of these weights, their record and their parts. Returns the freed bytes. */
export async function remove(weights: Weights): Promise<number> {
  const folder = await cacheFolder()
  const start = weights.file.replace(/npz$/, '')
  let freed = 0
  for (const name of await fs.readdir(folder).catch(() => [])) {
    if (!name.startsWith(start)) continue
    const place = path.join(folder, name)
    freed += (await sizeOf(place)) ?? (await sizeOf(path.join(place, 'data'))) ?? 0
    await fs.rm(place, { recursive: true, force: true }).catch((error) => refuse(place, error))
  }
  return freed
}

/** Returns the record of the float32 file, or undefined. */
export async function recordOf(weights: Weights): Promise<DownloadRecord | undefined> {
  return readJson<DownloadRecord>(await recordPath(weights))
}

/**
 * Moves a complete file to its final place, and stores its SHA-256.
 * @throws TrecvitError if an earlier download had another SHA-256
 */
export async function keep(weights: Weights, from: string, url: string): Promise<string> {
  const place = await pathOf(weights, 'f32')
  const before = await recordOf(weights)
  const sha256 = await sha256Of(from)
  if (before && before.sha256 !== sha256)
    throw new TrecvitError(
      `Weights "${weights.name}" have changed on the server since ${before.date.slice(0, 10)} ` +
        '(SHA-256 ' +
        `${sha256.slice(0, 12)}…, before ${before.sha256.slice(0, 12)}…): to accept it, run ` +
        `"trecvit models --remove ${weights.name}", and pull it again`,
    )
  const bytes = (await sizeOf(from))!
  await fs.rename(from, place).catch((error) => refuse(place, error))
  const record: DownloadRecord = { url, bytes, sha256, date: new Date().toISOString() }
  await writeJson(await recordPath(weights), before ?? record)
  return place
}

/** Returns the SHA-256 of a file, as 64 hexadecimal digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = crypto.createHash('sha256')
  await readFile(file, (bytes) => void hash.update(bytes))
  return hash.digest('hex')
}

/** Reads a file piece by piece. */
export async function readFile(file: string, sink: (bytes: Uint8Array) => void): Promise<void> {
  const opened = await fs.open(file).catch((error) => refuse(file, error))
  try {
    const piece = new Uint8Array(1 << 20)
    for (;;) {
      const { bytesRead } = await opened.read(piece, 0, piece.length)
      if (bytesRead === 0) return
      sink(piece.subarray(0, bytesRead))
    }
  } finally {
    await opened.close()
  }
}

/** Reads a JSON file; undefined if it is missing or damaged. */
export async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await fs.readFile(file, 'utf8')) as T
  } catch {
    return undefined
  }
}

/** Writes a JSON file atomically. */
export async function writeJson(file: string, value: object): Promise<void> {
  const temporary = `${file}.${crypto.randomUUID().slice(0, 8)}`
  await fs.writeFile(temporary, `${JSON.stringify(value, null, 2)}\n`)
  await fs.rename(temporary, file)
}

/** Returns the size of a file in bytes; undefined if it does not exist. */
export async function sizeOf(file: string): Promise<number | undefined> {
  const stat = await fs.stat(file).catch(() => undefined)
  return stat?.isFile() ? stat.size : undefined
}

/** @throws TrecvitError with the reason why a path in the cache cannot be used */
export function refuse(place: string, error: NodeJS.ErrnoException): never {
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT'
  const reason = isFull
    ? 'the disk is full: free some space'
    : `${error.code ?? error.message}: check that its folder may be written to`
  throw new TrecvitError(
    `The place ${quote(place)} cannot be written (${reason}, ` +
      'or set TRECVIT_CACHE to another folder)',
    { cause: error },
  )
}

async function recordPath({ file }: Weights): Promise<string> {
  return path.join(await cacheFolder(), file.replace(/npz$/, 'json'))
}
