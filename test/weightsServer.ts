/** A server of weights with configurable faults. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { vi } from 'vitest'
import { crc32c } from '../src/weights/crc32c.ts'

/** Behaviour of the server. May change between requests. */
export interface Faults {
  /** Contents of the file. */
  bytes: Uint8Array
  etag: string | null
  ranges: boolean
  /** Breaks the connection after this many bytes of a response, in the next `breaks` responses. */
  breakAfter: number
  breaks: number
  /** Sends this many bytes, then stalls. */
  stallAfter: number | null
  /** Value of `x-goog-hash` instead of the correct one. Null omits the header. */
  hash: string | null | undefined
  /** Declared size of the file in bytes. */
  announced: number | null
  /** Answers a request in place of the server. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | null
}

/** A running server. */
export interface WeightsServer {
  readonly faults: Faults
  /** URL of the folder, for TRECVIT_MIRROR. */
  readonly mirror: string
  /** Path, Range and If-Range of each request. */
  readonly requests: { path: string; range: string | undefined; ifRange: string | undefined }[]
  close(): Promise<void>
}

/** Pauses of src/weights in milliseconds. */
const PAUSES = [500, 1000, 2000]

/** Makes the pauses a hundredth of their length. Returns a list of those that begin from now on. */
export function shortenPauses(): number[] {
  const { setTimeout } = globalThis
  const begun: number[] = []
  vi.stubGlobal('setTimeout', (call: () => void, milliseconds: number, ...rest: []) => {
    if (!PAUSES.includes(milliseconds)) return setTimeout(call, milliseconds, ...rest)
    begun.push(milliseconds)
    return setTimeout(call, milliseconds / 100, ...rest)
  })
  return begun
}

/** Returns the value of `x-goog-hash` for these bytes. */
function googleHash(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32c(bytes))
  return `crc32c=${sum.toString('base64')}, md5=1B2M2Y8AsgTpgAmY7PhCfg==`
}

/** Starts a server. Each of its files has these bytes. */
export async function serveWeights(bytes: Uint8Array): Promise<WeightsServer> {
  const faults: Faults = {
    bytes,
    etag: '"one"',
    ranges: true,
    breakAfter: 0,
    breaks: 0,
    stallAfter: null,
    hash: undefined,
    announced: null,
    answer: null,
  }
  const requests: WeightsServer['requests'] = []
  const server = createServer((request, response) => {
    const { range, 'if-range': ifRange } = request.headers
    requests.push({ path: request.url!, range, ifRange: ifRange as string | undefined })
    if (faults.answer) faults.answer(request, response)
    else send(faults, range, ifRange as string | undefined, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    faults,
    requests,
    mirror: `http://127.0.0.1:${(server.address() as AddressInfo).port}/weights/`,
    async close() {
      server.closeAllConnections()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

function send(
  { bytes, etag, ranges, announced, stallAfter, ...faults }: Faults,
  range: string | undefined,
  ifRange: string | undefined,
  response: ServerResponse,
): void {
  const isSame = ifRange === undefined || ifRange === etag
  const start = ranges && isSame ? Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0) : 0
  const total = announced ?? bytes.length
  const hash = faults.hash === undefined ? googleHash(bytes) : faults.hash
  const isPart = ranges && range !== undefined && isSame
  response.writeHead(isPart ? 206 : 200, {
    'Content-Length': total - start,
    ...(etag !== null && { ETag: etag }),
    ...(hash !== null && { 'x-goog-hash': hash }),
    ...(isPart && { 'Content-Range': `bytes ${start}-${total - 1}/${total}` }),
  })
  const rest = bytes.subarray(start)
  if (faults.breaks > 0) {
    response.write(rest.subarray(0, faults.breakAfter), () => response.destroy())
  } else if (stallAfter !== null) response.write(rest.subarray(0, stallAfter))
  else response.end(rest)
}
