/**
 * Writes a file completely or not at all: under a temporary name, renamed at the end.
 */
import { randomUUID } from 'node:crypto'
import { rmSync, type Stats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { TrecvitError } from '../base/error.ts'
import { isStandardOutput, openThrough, type Through, writeAll } from './through.ts'

/** Error: a file cannot be written. It is reported even after Ctrl-C, which hides other errors. */
export class OutputError extends TrecvitError {}

/** A file that is being written. */
export interface Output {
  /** Appends, or overwrites at `position`. The bytes may change once the promise resolves. */
  write(bytes: Uint8Array, position?: number): Promise<void>
}

/** Options for `writeOutput`. */
export interface OutputOptions {
  /** Whether an existing regular file may be replaced. */
  readonly replace: boolean
  /** Aborts waiting for the reader of a named pipe. */
  readonly signal: AbortSignal
}

/**
 * Writes a file, and makes its folder. If the work fails, the temporary file is removed and an
 * existing file is unchanged. A symbolic link is followed: its target is replaced, not the link.
 * Devices, named pipes, standard output and mounted files cannot be replaced. They receive the
 * complete contents at the end.
 * @throws TrecvitError if the file exists and may not be replaced
 * @throws OutputError if the file cannot be written
 * @throws any error of the work
 */
export async function writeOutput(
  path: string,
  { replace, signal }: OutputOptions,
  work: (output: Output) => Promise<void>,
): Promise<void> {
  const fs = await import('node:fs/promises')
  const { tmpdir } = await import('node:os')
  const { dirname } = await import('node:path')
  const refuse = (error: NodeJS.ErrnoException): never => {
    if (error.code === 'ABORT_ERR') signal.throwIfAborted()
    const reason = error.code ?? error.message
    const advice = 'check that its folder may be written to and has room'
    throw new OutputError(`"${path}" cannot be written (${reason}); ${advice}`, { cause: error })
  }
  const target = await followLinks(path).catch(refuse)
  const stat = await fs.stat(target).catch(() => undefined)
  if (stat?.isDirectory()) {
    throw new TrecvitError(`"${path}" is a directory; give the name of a file`)
  }
  const special = stat !== undefined && (!stat.isFile() || isStandardOutput(stat))
  if (stat && !special && !replace) {
    const advice = 'give another name, or --force to replace it'
    throw new TrecvitError(`"${path}" exists already; ${advice}`)
  }

  // Opened before the work, so that an error is reported before hours of work, not after.
  let through: Through | undefined
  const openExisting = async (found: Stats): Promise<void> => {
    through = await openThrough(path, found, signal).catch(refuse)
  }
  if (special) await openExisting(stat)
  const name = `${randomUUID().slice(0, 8)}.part`
  let temporary = special ? `${tmpdir()}/trecvit-${name}` : `${target}.${name}`
  const create = (): Promise<FileHandle> => fs.open(temporary, 'wx', special ? 0o600 : stat?.mode)
  const file = await create().catch(async (error: NodeJS.ErrnoException) => {
    if (!stat && error.code === 'ENOENT') {
      await fs.mkdir(dirname(target), { recursive: true }).catch(refuse)
      return create().catch(refuse)
    }
    if (!stat || special) return refuse(error)
    // No permission to create files in the folder, but perhaps to write the existing file.
    await openExisting(stat)
    temporary = `${tmpdir()}/trecvit-${name}`
    return create().catch(refuse)
  })
  const remove = (): void => rmSync(temporary, { force: true })
  process.once('exit', remove)
  try {
    await work({ write: (bytes, position) => writeAll(file, bytes, position).catch(refuse) })
    await file.close()
    if (!through) {
      await fs.rename(temporary, target).catch((error: NodeJS.ErrnoException) => {
        if (!stat || error.code !== 'EBUSY') return refuse(error)
        return openExisting(stat)
      })
    }
    await through?.copy(temporary).catch(refuse)
  } finally {
    await through?.close()
    await file.close().catch(() => {})
    remove()
    process.removeListener('exit', remove)
  }
}

/** Follows symbolic links to a file, which need not exist. Devices and pipes keep their path. */
async function followLinks(path: string): Promise<string> {
  const fs = await import('node:fs/promises')
  const { dirname, resolve } = await import('node:path')
  const stat = await fs.stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (stat) return stat.isFile() && !isStandardOutput(stat) ? fs.realpath(path) : path
  const to = await fs.readlink(path).catch(() => undefined)
  return to === undefined ? path : followLinks(resolve(dirname(path), to))
}
