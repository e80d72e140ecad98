/** Weights by name: downloads from a faulty server, and the cache. */
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { encodeNpz } from '../src/checkpoint/npy.ts'
import { openNamed } from '../src/named.ts'
import { find, list, recordOf, remove } from '../src/weights/cache.ts'
import { crc32c } from '../src/weights/crc32c.ts'
import type { DownloadOptions } from '../src/weights/download.ts'
import { fetchWeights } from '../src/weights/fetch.ts'
import { known } from '../src/weights/known.ts'
import { claim, partOf } from '../src/weights/parts.ts'
import { expectSentence } from './checkpointFiles.ts'
import { joined } from './joined.ts'
import { serveWeights, shortenPauses, type WeightsServer } from './weightsServer.ts'

const k400 = known[0]!
const FILE = 'trecvit_B_k400.npz'
const bytes = encodeNpz([
  ['a', { data: Float32Array.from({ length: 700_000 }, (_, i) => i), shape: [700_000] }],
])
const other = encodeNpz([
  ['a', { data: Float32Array.from({ length: 700_000 }, (_, i) => -i), shape: [700_000] }],
])
const sha256 = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex')

let server: WeightsServer
let cache: string
let pauses: number[]

beforeEach(async () => {
  pauses = shortenPauses()
  server = await serveWeights(bytes)
  cache = await fs.mkdtemp(join(tmpdir(), 'trecvit-weights-'))
  vi.stubEnv('TRECVIT_MIRROR', server.mirror)
  vi.stubEnv('TRECVIT_CACHE', join(cache, 'deep', 'down'))
})

afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  await server.close()
  await fs.rm(cache, { recursive: true })
})

const fetchIt = (options: DownloadOptions = {}): Promise<string> => fetchWeights(k400, options)
const files = (): Promise<string[]> => fs.readdir(join(cache, 'deep', 'down'))
const isWhole = async (path: string, want = bytes): Promise<boolean> =>
  want.length === (await fs.stat(path)).size && (await fs.readFile(path)).equals(want)

async function expectFailure(message: RegExp, options: DownloadOptions = {}): Promise<void> {
  const error = await fetchIt(options).catch((error: unknown) => error)
  expectSentence(error)
  expect((error as Error).message).toMatch(message)
}

/** Downloads the first part, then aborts as with Ctrl-C. */
async function interrupt(): Promise<number> {
  const abort = new AbortController()
  server.faults.stallAfter = 300_000
  const onProgress = (done: number): void => {
    if (done >= 300_000) abort.abort(new Error('enough'))
  }
  await expect(fetchIt({ onProgress, signal: abort.signal })).rejects.toThrow('enough')
  server.faults.stallAfter = null
  return (await partOf(k400))!
}

test('CRC-32C of known bytes, at any length and in pieces', () => {
  const text = new TextEncoder().encode('123456789')
  expect(crc32c(text)).toBe(0xe3069283)
  for (let i = 0; i <= 9; i++)
    expect(crc32c(text.subarray(i), crc32c(text.subarray(0, i)))).toBe(0xe3069283)
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
})

describe('a download', () => {
  test('is stored with its SHA-256, and not requested again', { tags: 'slow' }, async () => {
    const seen: (number | null)[][] = []
    const path = await fetchIt({ onProgress: (...now) => seen.push(now) })
    expect(path).toBe(join(cache, 'deep', 'down', FILE))
    expect(await isWhole(path)).toBe(true)
    expect(seen.at(-1)).toEqual([bytes.length, bytes.length])
    expect((await files()).sort()).toEqual(['trecvit_B_k400.json', FILE])
    expect(await recordOf(k400)).toMatchObject({
      url: `${server.mirror}${FILE}`,
      bytes: bytes.length,
      sha256: sha256(bytes),
    })
    expect(server.requests).toEqual([
      { path: `/weights/${FILE}`, range: 'bytes=0-', ifRange: undefined },
    ])
    await server.close()
    expect(await fetchIt()).toBe(path)
    expect(await openNamed('k400', {})).toBe(path)
  })

  test('goes on after breaks, in the same process', { tags: 'slow' }, async () => {
    Object.assign(server.faults, { breaks: 1, breakAfter: 1_200_000 })
    const path = await fetchIt({
      onProgress: (done) => {
        if (done > 2_300_000) server.faults.breaks = 0
      },
    })
    expect(await isWhole(path)).toBe(true)
    const [first, second] = server.requests
    expect(first!.range).toBe('bytes=0-')
    expect(Number(/\d+/.exec(second!.range!)![0])).toBeGreaterThan(0)
    expect(second!.ifRange).toBe('"one"')
  })

  test('goes on after the end of the process', { tags: 'slow' }, async () => {
    const kept = await interrupt()
    expect(kept).toBeGreaterThanOrEqual(300_000)
    expect(await isWhole(await fetchIt())).toBe(true)
    expect(server.requests[1]).toMatchObject({ range: `bytes=${kept}-`, ifRange: '"one"' })
    expect(await partOf(k400)).toBeUndefined()
  })

  test.each([
    ['has changed', () => Object.assign(server.faults, { bytes: other, etag: '"two"' })],
    ['has no ranges any more', () => Object.assign(server.faults, { bytes: other, ranges: false })],
  ])('starts again if the file %s', async (_, change) => {
    await interrupt()
    change()
    expect(await isWhole(await fetchIt(), other)).toBe(true)
    expect(server.requests).toHaveLength(2)
  })

  test('starts again if the server has no ETag, or a weak one', { tags: 'slow' }, async () => {
    for (const etag of [null, 'W/"one"']) {
      server.faults.etag = etag
      await interrupt()
      expect(await isWhole(await fetchIt())).toBe(true)
      expect(server.requests.at(-1)!.range).toBe('bytes=0-')
      await remove(k400)
    }
  })

  test('works without ranges, and after a redirect', async () => {
    server.faults.ranges = false
    expect(await isWhole(await fetchIt())).toBe(true)
    await remove(k400)
    server.faults.answer = (request, response) => {
      server.faults.answer = null
      response.writeHead(302, { Location: `/else${request.url}` }).end()
    }
    expect(await isWhole(await fetchIt())).toBe(true)
    expect(server.requests.at(-1)!.path).toBe(`/else/weights/${FILE}`)
  })

  test('from a server without length and checksum', async () => {
    server.faults.answer = (_, response) => {
      response.writeHead(200)
      response.write(bytes.subarray(0, 1000))
      response.end(bytes.subarray(1000))
    }
    expect(await isWhole(await fetchIt())).toBe(true)
  })
})

describe('an error is one sentence, and keeps the received bytes', () => {
  test('a connection that breaks at the same place again and again', async () => {
    Object.assign(server.faults, { ranges: false, breaks: 1, breakAfter: 200_000 })
    await expectFailure(
      /^Weights "k400" could not be downloaded: .*broke.*; without a network, copy /,
    )
    expect(server.requests).toHaveLength(4)
    expect(pauses).toEqual([500, 1000, 2000])
  })

  test('offline', async () => {
    const kept = await interrupt()
    await server.close()
    await expectFailure(/cannot be reached \(.*ECONNREFUSED.*copy trecvit_B_k400\.npz into .*down$/)
    expect(await partOf(k400)).toBe(kept)
  })

  test('a server that is silent', { tags: 'slow' }, async () => {
    server.faults.stallAfter = 100_000
    await expectFailure(/sent nothing for 0\.05 s: try again/, { timeout: 50 })
    expect(await partOf(k400)).toBeGreaterThanOrEqual(100_000)
  })

  test.each([404, 403, 500, 503])('HTTP %i', async (status) => {
    const kept = await interrupt()
    server.faults.answer = (_, response) => void response.writeHead(status).end('no')
    await expectFailure(new RegExp(`answered with HTTP ${status} `))
    expect(await partOf(k400)).toBe(kept)
    expect(server.requests).toHaveLength(2)
  })

  test.each(['HTTP 404', 'a page', 'offline'])(
    '%s: nothing is left if nothing came',
    async (what) => {
      server.faults.answer = (_, response) =>
        void response.writeHead(what === 'a page' ? 200 : 404).end('<!DOCTYPE html><html></html>')
      if (what === 'offline') await server.close()
      await expectFailure(/HTTP 404|an HTML or XML page|cannot be reached/)
      expect(await files()).toEqual([])
      // A part without bytes of a process that was ended at once.
      const part = await claim(k400)
      expect(await partOf(k400)).toBeUndefined()
      await part.release()
      expect(await files()).toEqual([])
    },
  )

  test('a page instead of the file', async () => {
    server.faults.bytes = Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>')
    await expectFailure(/is an HTML or XML page, not an \.npz file: check the address/)
    server.faults.bytes = bytes
    expect(await isWhole(await fetchIt())).toBe(true)
  })

  test('an empty file', async () => {
    server.faults.answer = (_, response) => void response.writeHead(200).end()
    await expectFailure(/is empty \(0 bytes\)/)
    expect(await files()).toEqual([])
  })

  test('a wrong checksum: the bytes are dropped', async () => {
    server.faults.hash = 'crc32c=AAAAAA=='
    await expectFailure(/does not match the server's checksum and was dropped: try again/)
    expect(await files()).toEqual([])
    server.faults.hash = undefined
    expect(await isWhole(await fetchIt())).toBe(true)
  })

  test('another size than promised', async () => {
    const size = bytes.length
    server.faults.answer = (_, response) => {
      response.writeHead(206, { 'Content-Range': `bytes 0-${size}/${size + 1}` }).end(bytes)
    }
    await expectFailure(new RegExp(`promised ${size + 1} bytes and sent ${size}: try again`))
    server.faults.answer = (_, response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 0-999/1000' }).end(bytes)
    }
    await expectFailure(/promised 1000 bytes and sent more/)
    server.faults.answer = (_, response) => {
      response.writeHead(206, { 'Content-Range': `bytes 5-${size - 1}/${size}` }).end(bytes)
    }
    await expectFailure(/was asked for the bytes from 0 on and answered with HTTP 206/)
  })

  test('a disk without room, before the download and in the middle of it', async () => {
    vi.spyOn(fs, 'statfs').mockResolvedValue({ bavail: 1, bsize: 4096 } as never)
    await expectFailure(
      joined(
        /^Weights "k400" need 2\.80 MB in .*down, which has 0\.00 MB left: /,
        /free some space, or set TREC/,
      ),
    )
    vi.restoreAllMocks()
    const open = fs.open
    vi.spyOn(fs, 'open').mockImplementation(async (...args) => {
      const file = await open(...args)
      const append = file.appendFile.bind(file)
      file.appendFile = async (data, options) => {
        if ((await file.stat()).size > 500_000)
          throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        return append(data, options)
      }
      return file
    })
    await expectFailure(/cannot be written \(the disk is full: free some space, or set TRECVIT_/)
    expect(await partOf(k400)).toBeGreaterThan(500_000)
    vi.restoreAllMocks()
    expect(await isWhole(await fetchIt())).toBe(true)
    expect(server.requests.at(-1)!.ifRange).toBe('"one"')
  })

  test('a cache folder that is a file', async () => {
    await fs.writeFile(join(cache, 'deep'), '')
    await expectFailure(/deep\/down" cannot be written \((EEXIST|ENOTDIR)/)
  })

  test('a file that has changed since an earlier download', async () => {
    await fetchIt()
    await fs.rm((await find(k400))!.path)
    Object.assign(server.faults, { bytes: other, etag: '"two"' })
    const message = /^Weights "k400" have changed on the server since 20\d\d-\d\d-\d\d \(SHA-256 /
    await expectFailure(message)
    // It is already in the cache, so the server is not asked again.
    await expectFailure(message)
    expect(server.requests).toHaveLength(2)
    await remove(k400)
    expect(await isWhole(await fetchIt(), other)).toBe(true)
  })

  test('an invalid mirror URL, and an unknown name', async () => {
    vi.stubEnv('TRECVIT_MIRROR', 'my mirror')
    await expectFailure(/^TRECVIT_MIRROR expected an http: or https: address of a folder, got "my/)
    const error = await openNamed('k401', {}).catch((error: unknown) => error)
    expectSentence(error)
    expect((error as Error).message).toMatch(
      /^There is no file at "k401", and no weights .* one of "builtin", "k400", "mae"$/,
    )
    expect(await openNamed('some/file', {})).toBe('some/file')
    // This is a file of the repository.
    expect(await openNamed('LICENSE', {})).toBe('LICENSE')
  })
})

describe('several at once', () => {
  test('one downloads, the others wait for it', async () => {
    const paths = await Promise.all([fetchIt(), fetchIt(), fetchIt()])
    expect(new Set(paths).size).toBe(1)
    expect(await isWhole(paths[0]!)).toBe(true)
    // Processes that started before the part existed have parts of their own.
    expect((await files()).sort()).toEqual(['trecvit_B_k400.json', FILE])
  })

  test('a partial download has one owner; an abandoned one gets another', async () => {
    const [one, two] = await Promise.all([claim(k400), claim(k400)])
    expect(one!.data).not.toBe(two!.data)
    await one!.restart({ url: 'http://x/', bytes: 9, etag: '"x"', crc32c: null })
    await one!.append(Uint8Array.of(1, 2, 3))
    await one!.release()
    const owners = await Promise.all([claim(k400), claim(k400)])
    expect(owners.map(({ size }) => size).sort()).toEqual([0, 3])
    for (const part of [two!, ...owners]) await part.remove()
    expect(await files()).toEqual([])
  })
})

describe('the cache', () => {
  test('serves a number format from its own form, or from float32', async () => {
    const path = await fetchIt()
    const small = path.replace('npz', 'int8.safetensors')
    await fs.writeFile(small, 'x')
    expect((await list(k400)).map(({ form }) => form)).toEqual(['f32', 'int8'])
    for (const [dtype, want] of [
      [undefined, path],
      ['f32', path],
      ['f16', path],
      ['int8', small],
    ] as const)
      expect(await find(k400, dtype)).toMatchObject({ path: want })
    await fs.rm(path)
    expect(await find(k400)).toMatchObject({ path: small, form: 'int8' })
    expect(await find(k400, 'f16')).toBeUndefined()
  })

  test('accepts a file that was copied into it, but none of another size', async () => {
    await fs.mkdir(join(cache, 'deep', 'down'), { recursive: true })
    await fs.writeFile(join(cache, 'deep', 'down', FILE), bytes)
    expect(await isWhole(await fetchIt())).toBe(true)
    expect(server.requests).toEqual([])
    await remove(k400)
    await fs.truncate(await fetchIt(), 1000)
    await expectFailure(
      /has 1000 bytes and had \d+ when it was downloaded: remove it with "trecvit/,
    )
  })
})
