/**
 * Downloads in progress in the cache folder. Each is a folder `FILE.ID.part`. One process owns it
 * and updates its modification time every few seconds. A folder with an old time is taken over by
 * renaming it, which only one process can do.
 */
import type { FileHandle } from 'node:fs/promises'
import { TrecvitError } from '../base/error.ts'
import {
  cacheFolder,
  crypto,
  fs,
  path,
  readFile,
  readJson,
  refuse,
  sizeOf,
  writeJson,
} from './cache.ts'
import type { Origin, Part } from './download.ts'
import { megabytes, type Weights } from './known.ts'

/** Milliseconds between two updates, and until a download without updates counts as abandoned. */
const TOUCH_INTERVAL = 2000
const ABANDONED_AFTER = 10_000

/** A part that this process owns. */
export interface OwnPart extends Part {
  /** Path of the file with the bytes received so far. */
  readonly data: string
  /** Keeps it, so that a later download can resume it. Removes it if it has no bytes. */
  release(): Promise<void>
  remove(): Promise<void>
}

/** Returns the bytes that a running download has received, or undefined if none is running. */
export async function underWay(weights: Weights): Promise<number | undefined> {
  const parts = await partsOf(weights)
  return parts.find(({ touched }) => Date.now() - touched < ABANDONED_AFTER)?.bytes
}

/** Returns the size of the largest part in bytes, or undefined if none has any. */
export async function partOf(weights: Weights): Promise<number | undefined> {
  const sizes = (await partsOf(weights)).map(({ bytes }) => bytes)
  return Math.max(0, ...sizes) || undefined
}

/**
 * Takes over an abandoned part, or creates a new one.
 * @throws TrecvitError if the cache folder is not writable
 */
export async function claim(weights: Weights): Promise<OwnPart> {
  const folder = await cacheFolder()
  await fs.mkdir(folder, { recursive: true }).catch((error) => refuse(folder, error))
  const own = path.join(folder, `${weights.file}.${crypto.randomUUID().slice(0, 8)}.part`)
  for (const { place, touched } of await partsOf(weights)) {
    if (Date.now() - touched < ABANDONED_AFTER) continue
    try {
      // The time is updated first, so that no other process finds the renamed folder abandoned.
      await touch(place, new Date())
      await fs.rename(place, own)
    } catch {
      continue
    }
    return openPart(weights, own)
  }
  await fs.mkdir(own).catch((error) => refuse(own, error))
  return openPart(weights, own)
}

/** A part on disk. */
interface Found {
  readonly place: string
  readonly touched: number
  readonly bytes: number
}

async function partsOf({ file }: Weights): Promise<Found[]> {
  const folder = await cacheFolder()
  const found: Found[] = []
  for (const name of await fs.readdir(folder).catch(() => [])) {
    if (!name.startsWith(`${file}.`) || !name.endsWith('.part')) continue
    const place = path.join(folder, name)
    const stat = await fs.stat(place).catch(() => undefined)
    const bytes = (await sizeOf(path.join(place, 'data'))) ?? 0
    if (stat) found.push({ place, touched: stat.mtimeMs, bytes })
  }
  return found
}

async function openPart(weights: Weights, place: string): Promise<OwnPart> {
  const timer = setInterval(() => void touch(place, new Date()), TOUCH_INTERVAL)
  timer.unref()
  const [data, about] = [path.join(place, 'data'), path.join(place, 'origin.json')]
  let file: FileHandle
  let size: number
  let origin: Origin | null
  try {
    file = await fs.open(data, 'a')
    size = (await file.stat()).size
    origin = (await readJson<Origin>(about)) ?? null
  } catch (error) {
    clearInterval(timer)
    return refuse(place, error as Error)
  }
  const close = async (): Promise<void> => {
    clearInterval(timer)
    await file.close()
  }
  const remove = async (): Promise<void> => {
    await close()
    await fs.rm(place, { recursive: true, force: true })
  }
  return {
    data,
    get size() {
      return size
    },
    get origin() {
      return origin
    },
    async restart(next) {
      try {
        await file.truncate(0)
        size = 0
        origin = next
        await writeJson(about, next)
      } catch (error) {
        refuse(place, error as Error)
      }
      await checkRoom(weights, place, next.bytes)
    },
    async append(bytes) {
      await file.appendFile(bytes).catch((error) => refuse(place, error))
      size += bytes.length
    },
    read: (sink) => readFile(data, sink),
    async release() {
      if (size === 0) return remove()
      await close()
      // Makes it old, so that it can be taken over at once.
      await touch(place, new Date(0))
    },
    remove,
  }
}

async function touch(place: string, time: Date): Promise<void> {
  await fs.utimes(place, time, time).catch(() => {})
}

/** @throws TrecvitError if the disk has not enough free space for the bytes */
async function checkRoom(weights: Weights, place: string, bytes: number | null): Promise<void> {
  const disk = await fs.statfs(place).catch(() => undefined)
  const free = disk ? disk.bavail * disk.bsize : Infinity
  if (bytes === null || bytes <= free) return
  throw new TrecvitError(
    `Weights "${weights.name}" need ${megabytes(bytes)} in ${path.dirname(place)}, which has ` +
      `${megabytes(free)} left: free some space, or set TRECVIT_CACHE to another folder`,
  )
}
