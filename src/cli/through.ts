/**
 * Writes into files that cannot be replaced: devices, named pipes, mounted files, and the file or
 * pipe of standard output.
 */
import { constants, createReadStream, fstatSync, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { printBytes } from './terminal.ts'

/** An open place that accepts a whole file. */
export interface Through {
  /** Writes the file at a path. */
  copy(from: string): Promise<void>
  close(): Promise<void>
}

const { O_NONBLOCK, O_WRONLY } = constants
/** Milliseconds between two checks for a reader of a named pipe. */
const PAUSE = 50

/** Whether this is where standard output goes, as /dev/stdout is. */
export function isStandardOutput({ dev, ino }: Stats): boolean {
  try {
    const own = fstatSync(process.stdout.fd)
    return own.dev === dev && own.ino === ino && ino !== 0
  } catch {
    return false
  }
}

/** Opens a place that exists. A named pipe is waited for until somebody reads it. */
export async function openThrough(
  path: string,
  stat: Stats,
  signal: AbortSignal,
): Promise<Through> {
  if (isStandardOutput(stat)) {
    // By its own descriptor: another one would write over what was printed.
    return {
      copy: async (from) => void (await pieces(from, async (bytes) => printBytes(bytes))),
      async close() {},
    }
  }
  const reader = stat.isFIFO() ? await waitForReader(path, signal) : undefined
  const file = await open(path, O_WRONLY)
  await reader?.close()
  return {
    async copy(from) {
      const size = await pieces(from, (bytes) => writeAll(file, bytes))
      if (stat.isFile()) await file.truncate(size)
    },
    close: () => file.close(),
  }
}

/** Writes all of the bytes, at `position` or where the last write ended. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position?: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === undefined ? null : position + done
    done += (await file.write(bytes, done, bytes.length - done, at)).bytesWritten
  }
}

/** Opening it at once would block a thread, and with that the end of the process. */
async function waitForReader(path: string, signal: AbortSignal): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(path, O_WRONLY | O_NONBLOCK)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error
    }
    await setTimeout(PAUSE, undefined, { signal })
  }
}

/** Hands over a file from its beginning, and returns its size. */
async function pieces(path: string, take: (bytes: Uint8Array) => Promise<void>): Promise<number> {
  let size = 0
  for await (const bytes of createReadStream(path) as AsyncIterable<Uint8Array>) {
    await take(bytes)
    size += bytes.length
  }
  return size
}
