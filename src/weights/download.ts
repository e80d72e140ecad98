/**
 * A download that can be resumed and is verified before use.
 */
import { pause } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import {
  BrokenConnection,
  contentRange,
  promisedSize,
  pull,
  request,
  show,
} from '../checkpoint/httpRequest.ts'
import { crc32c, sentCrc32c } from './crc32c.ts'

/** The file on the server that a part belongs to. */
export interface Origin {
  readonly url: string
  /** Size of the whole file, or null if the server does not report it. */
  readonly bytes: number | null
  /** Strong validator. Without one, an interrupted download starts again from the beginning. */
  readonly etag: string | null
  readonly crc32c: number | null
}

/** The part of a file that was downloaded so far. It is kept when the process ends. */
export interface Part {
  readonly size: number
  readonly origin: Origin | null
  /** Drops the stored bytes, and starts a download from this origin. */
  restart(origin: Origin): Promise<void>
  /** Appends bytes. The caller may change them once the promise resolves. */
  append(bytes: Uint8Array): Promise<void>
  /** Passes all stored bytes to `sink`, in order. */
  read(sink: (bytes: Uint8Array) => void): Promise<void>
}

/** Progress callback and signal of a download. */
export interface DownloadOptions {
  /** Called with the bytes received and the size of the file; null if it is unknown. */
  readonly onProgress?: ((done: number, total: number | null) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Milliseconds without data after which the connection counts as broken. */
  readonly timeout?: number
}

/** Broken connections in a row without `PROGRESS` new bytes, and the first pause in ms. */
const MAX_BREAKS = 3
const PROGRESS = 1 << 20
const PAUSE = 500
const TIMEOUT = 60_000

/** First bytes of an .npz file. */
const ZIP = [0x50, 0x4b, 3, 4]

/**
 * Downloads an .npz file into a part. Resumes an earlier download if the file has not changed.
 * @throws TrecvitError if the server cannot be reached, responds with an error, or sends something
 * other than announced. The part can be resumed, unless it is damaged
 */
export async function download(
  url: URL,
  part: Part,
  { onProgress, signal, timeout = TIMEOUT }: DownloadOptions = {},
): Promise<Origin> {
  let best = part.size
  for (let breaks = 0; !isComplete(part, url); ) {
    try {
      await receive(url, part, onProgress, timeout, signal)
      break
    } catch (error) {
      if (!(error instanceof BrokenConnection)) throw error
      breaks = part.size >= best + PROGRESS ? 1 : breaks + 1
      best = Math.max(best, part.size)
      if (breaks > MAX_BREAKS) throw error
      await pause(PAUSE * 2 ** (breaks - 1), signal)
    }
  }
  const origin = part.origin!
  await checkSum(url, part, origin)
  return origin
}

/** Whether an earlier download received all bytes. */
function isComplete({ size, origin }: Part, url: URL): boolean {
  return origin !== null && origin.url === url.href && origin.bytes === size
}

/** Sends one request, and appends the body of the response. */
async function receive(
  url: URL,
  part: Part,
  onProgress: DownloadOptions['onProgress'],
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stalled = new AbortController()
  const either = AbortSignal.any([stalled.signal, ...(signal ? [signal] : [])])
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => {
      const silence = `sent nothing for ${timeout / 1000} s: try again`
      stalled.abort(new BrokenConnection(`${show(url)} ${silence}`))
    }, timeout)
    return work.finally(() => clearTimeout(timer))
  }

  const { origin } = part
  const etag = origin?.url === url.href && origin.bytes !== null ? origin.etag : null
  const start = etag === null ? 0 : part.size
  const headers = { Range: `bytes=${start}-`, ...(start > 0 && { 'If-Range': etag! }) }
  const response = await inTime(request(url, headers, either))
  const reader = response.body?.getReader()
  try {
    const total = await begin(url, part, response, start)
    onProgress?.(part.size, total)
    for (;;) {
      const bytes = reader && (await inTime(pull(reader, url, either)))
      if (bytes === undefined) break
      if (total !== null && part.size + bytes.length > total) {
        throw new TrecvitError(`${show(url)} promised ${total} bytes and sent more`)
      }
      if (part.size === 0) checkStart(url, bytes)
      await part.append(bytes)
      onProgress?.(part.size, total)
    }
    if (total !== null && part.size < total) {
      const lack = `promised ${total} bytes and sent ${part.size}`
      throw new BrokenConnection(`${show(url)} ${lack}: try again`)
    }
    if (part.size === 0) throw new TrecvitError(`${show(url)} is empty (0 bytes)`)
  } finally {
    reader?.cancel().catch(() => {})
  }
}

/**
 * Prepares the part for the response. It is kept if the response continues it. It restarts if the
 * file has changed or the server does not support Range requests.
 * @returns the size of the whole file; null if the server does not report it
 */
async function begin(
  url: URL,
  part: Part,
  response: Response,
  start: number,
): Promise<number | null> {
  const range = contentRange(response)
  const etag = response.headers.get('etag')
  if (start > 0 && response.status === 206) {
    const { bytes } = part.origin!
    if (range?.start === start && range.size === bytes) return bytes
  } else if (response.status === 206 ? (range?.start ?? 0) === 0 : response.status !== 416) {
    const encoded = response.headers.has('content-encoding')
    const origin = {
      url: url.href,
      // A page cannot read Content-Range from another origin. A response from the start has the
      // size of the file.
      bytes: range?.size ?? promisedSize(response),
      etag: etag?.startsWith('"') && !encoded ? etag : null,
      crc32c: sentCrc32c(response.headers),
    }
    await part.restart(origin)
    return origin.bytes
  }
  // Makes the next attempt start from the beginning.
  await part.restart({ url: url.href, bytes: null, etag: null, crc32c: null })
  throw new TrecvitError(
    `${show(url)} was asked for the bytes from ${start} on and answered with HTTP ` +
      `${response.status}, Content-Range "${response.headers.get('content-range') ?? 'none'}"`,
  )
}

/** Rejects a sign-in page that was sent instead of the weights, before all of it is stored. */
function checkStart(url: URL, bytes: Uint8Array): void {
  if (ZIP.every((byte, i) => i >= bytes.length || bytes[i] === byte)) return
  const isPage = /^\s*</.test(String.fromCharCode(...bytes.subarray(0, 16)))
  throw new TrecvitError(
    `${show(url)} is ${isPage ? 'an HTML or XML page' : 'something else'}, not an .npz file: ` +
      'check the address, and whether the network asks to sign in',
  )
}

/** @throws TrecvitError if the part differs from the server's file; the part is then dropped */
async function checkSum(url: URL, part: Part, origin: Origin): Promise<void> {
  if (origin.crc32c === null) return
  let crc = 0
  await part.read((bytes) => {
    crc = crc32c(bytes, crc)
  })
  if (crc === origin.crc32c) return
  await part.restart(origin)
  throw new TrecvitError(
    `The download of ${show(url)} does not match the server's checksum and was dropped: try again`,
  )
}
