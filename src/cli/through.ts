/**
 * Writes to files that cannot be replaced: devices, named pipes, mounted files, and the file or
 * pipe of standard output.
 */
import { constants, createReadStream, fstatSync, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { printBytes } from './terminal.ts'

/** An open destination for a complete file. */
export interface Through {
  /** Copies the file at a path to the destination. */
  copy(from: string): Promise<void>
  close(): Promise<void>
}

const { O_NONBLOCK, O_WRONLY } = constants
/** Milliseconds between two checks for a reader of a named pipe. */
const PAUSE = 50

/** Whether a file is the destination of standard output, for example /dev/stdout. */
export function isStandardOutput({ dev, ino }: Stats): boolean {
  try {
    const own = fstatSync(process.stdout.fd)
    return own.dev === dev && own.ino === ino && ino !== 0
  } catch {
    return false
  }
}

/** Opens an existing file. For a named pipe, waits for a reader. */
export async function openThrough(
  path: string,
  stat: Stats,
  signal: AbortSignal,
): Promise<Through> {
  if (isStandardOutput(stat)) {
    // Uses the descriptor of standard output: a new one would overwrite what was printed.
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

/** Node reads and writes at most 2³¹ − 1 bytes at once. */
const MOST_AT_ONCE = 2 ** 30

/** Writes all bytes, at `position` or after the last write. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position?: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === undefined ? null : position + done
    const count = Math.min(bytes.length - done, MOST_AT_ONCE)
    done += (await file.write(bytes, done, count, at)).bytesWritten
  }
}

/** Reads a whole file. */
export async function readAll(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat()
  const bytes = new Uint8Array(size)
  for (let done = 0, read = 1; done < size && read > 0; done += read)
    read = (await file.read(bytes, done, Math.min(size - done, MOST_AT_ONCE), done)).bytesRead
  return bytes
}

/** Polls. A blocking open would occupy a thread, which would also delay the exit of the process. */
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

/** Passes a file on in pieces from its beginning. Returns its size. */
async function pieces(path: string, take: (bytes: Uint8Array) => Promise<void>): Promise<number> {
  let size = 0
  for await (const bytes of createReadStream(path) as AsyncIterable<Uint8Array>) {
    await take(bytes)
    size += bytes.length
  }
  return size
}
