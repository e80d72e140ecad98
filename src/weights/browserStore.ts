/**
 * Stores weights by name in the origin private file system of a page. They are stored in pieces, so
 * a page that is closed loses at most one piece. Only one tab or worker downloads at a time.
 */
import { TrecvitError } from '../base/error.ts'
import { BrokenConnection } from '../checkpoint/httpRequest.ts'
import { type DownloadOptions, download, type Origin, type Part } from './download.ts'
import { addressOf, termsOf, type Weights } from './known.ts'

/** Bytes of a piece. */
const PIECE = 1 << 25

const ABOUT = 'about.json'

/** Record stored beside the pieces. */
interface About {
  readonly origin: Origin
  /** Whether the file was received completely and verified. */
  readonly complete: boolean
}

/** Whether this page has the storage. It requires a secure context. */
export function hasStore(): boolean {
  return typeof navigator === 'object' && navigator.storage?.getDirectory !== undefined
}

/**
 * Returns the weights as a file. Downloads them if this origin does not have them.
 * @throws TrecvitError if they cannot be downloaded or stored; what was received is resumed later
 */
export function fetchIntoPage(weights: Weights, options: DownloadOptions = {}): Promise<File> {
  const name = `trecvit ${weights.file}`
  const work = () => fetchAlone(weights, options)
  return navigator.locks ? navigator.locks.request(name, work) : work()
}

async function fetchAlone(weights: Weights, options: DownloadOptions): Promise<File> {
  options.signal?.throwIfAborted()
  const root = await navigator.storage.getDirectory()
  const folder = await root.getDirectoryHandle(`trecvit-${weights.file}`, { create: true })
  const about = await readAbout(folder)
  if (about?.complete) return new File(await piecesOf(folder), weights.file)
  const part = await openPart(folder, about?.origin ?? null)
  try {
    const origin = await download(addressOf(weights), part, options)
    await part.flush()
    await writeFile(folder, ABOUT, JSON.stringify({ origin, complete: true } satisfies About))
    return new File(await piecesOf(folder), weights.file)
  } catch (error) {
    await part.flush().catch(() => {})
    throw explained(weights, error)
  }
}

/** Opens a part. It holds the last piece in memory until the piece is complete. */
async function openPart(
  folder: FileSystemDirectoryHandle,
  begun: Origin | null,
): Promise<Part & { flush(): Promise<void> }> {
  let origin = begun
  let pieces = await piecesOf(folder)
  let stored = pieces.reduce((sum, { size }) => sum + size, 0)
  let waiting: Uint8Array<ArrayBuffer>[] = []
  let bytesWaiting = 0
  const flush = async (): Promise<void> => {
    if (bytesWaiting === 0) return
    await writeFile(folder, String(pieces.length), new Blob(waiting))
    pieces = await piecesOf(folder)
    stored += bytesWaiting
    waiting = []
    bytesWaiting = 0
  }
  return {
    flush,
    get size() {
      return stored + bytesWaiting
    },
    get origin() {
      return origin
    },
    async restart(next) {
      for (let i = 0; i < pieces.length; i++) await folder.removeEntry(String(i))
      pieces = []
      stored = bytesWaiting = 0
      waiting = []
      origin = next
      await writeFile(
        folder,
        ABOUT,
        JSON.stringify({ origin: next, complete: false } satisfies About),
      )
    },
    async append(bytes) {
      waiting.push(bytes.slice())
      bytesWaiting += bytes.length
      if (bytesWaiting >= PIECE) await flush()
    },
    async read(sink) {
      await flush()
      for (const piece of pieces) sink(new Uint8Array(await piece.arrayBuffer()))
    },
  }
}

/** Returns the pieces from the first one to the first gap. */
async function piecesOf(folder: FileSystemDirectoryHandle): Promise<File[]> {
  const pieces: File[] = []
  for (;;) {
    const handle = await folder.getFileHandle(String(pieces.length)).catch(() => undefined)
    if (handle === undefined) return pieces
    pieces.push(await handle.getFile())
  }
}

async function readAbout(folder: FileSystemDirectoryHandle): Promise<About | undefined> {
  try {
    const file = await (await folder.getFileHandle(ABOUT)).getFile()
    return JSON.parse(await file.text()) as About
  } catch {
    return undefined
  }
}

async function writeFile(
  folder: FileSystemDirectoryHandle,
  name: string,
  content: string | Blob,
): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true })
  const writable = await handle.createWritable()
  try {
    await writable.write(content)
    await writable.close()
  } catch (error) {
    // Removes the piece. It would remain empty.
    await writable.abort().catch(() => {})
    await folder.removeEntry(name).catch(() => {})
    throw error
  }
}

function explained(weights: Weights, error: unknown): unknown {
  const { name, file } = weights
  if (error instanceof DOMException && error.name === 'QuotaExceededError')
    return new TrecvitError(
      `This browser has no room for "${name}" (${termsOf(weights)}): free some space, or load ` +
        `${file} from a File`,
      { cause: error },
    )
  if (error instanceof BrokenConnection)
    return new TrecvitError(
      `Weights "${name}" could not be downloaded: ${error.message}; a page may not be allowed ` +
        `to read from that host (CORS): download ${file} and load it from a File, or run ` +
        '"trecvit serve"',
      { cause: error },
    )
  return error
}
