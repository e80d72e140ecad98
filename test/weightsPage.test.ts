// @module-tag slow
/** Weights by name in a page, with an in-memory origin private file system. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { encodeNpz } from '../src/checkpoint/npy.ts'
import { fetchIntoPage, hasStore } from '../src/weights/browserStore.ts'
import type { DownloadOptions } from '../src/weights/download.ts'
import { known } from '../src/weights/known.ts'
import { expectSentence } from './checkpointFiles.ts'
import { serveWeights, shortenPauses, type WeightsServer } from './weightsServer.ts'

const MB = 2 ** 20
/** Three parts. */
const bytes = encodeNpz([['a', { data: new Float32Array(20 * MB), shape: [20 * MB] }]])

/** A fake folder. Tests can read its files and free space. */
class Folder {
  readonly files = new Map<string, Blob>()
  readonly folders = new Map<string, Folder>()
  room = Infinity

  async getDirectoryHandle(name: string): Promise<Folder> {
    const folder = this.folders.get(name) ?? new Folder()
    this.folders.set(name, folder)
    return folder
  }

  async getFileHandle(name: string, { create = false } = {}): Promise<object> {
    if (!this.files.has(name) && !create) throw new DOMException('', 'NotFoundError')
    if (!this.files.has(name)) this.files.set(name, new Blob([]))
    let written: Blob
    return {
      getFile: async () => new File([this.files.get(name)!], name),
      createWritable: async () => ({
        write: async (content: string | Blob) => {
          written = new Blob([content])
          if (written.size > this.room) throw new DOMException('', 'QuotaExceededError')
        },
        close: async () => void this.files.set(name, written),
        abort: async () => {},
      }),
    }
  }

  async removeEntry(name: string): Promise<void> {
    if (!this.files.delete(name)) throw new DOMException('', 'NotFoundError')
  }
}

let server: WeightsServer
let root: Folder
let locks: string[]

beforeEach(async () => {
  server = await serveWeights(bytes)
  root = new Folder()
  locks = []
  shortenPauses()
  vi.stubEnv('TRECVIT_MIRROR', server.mirror)
  vi.stubGlobal('navigator', {
    storage: { getDirectory: async () => root },
    locks: {
      request: (name: string, work: () => unknown) => {
        locks.push(name)
        return work()
      },
    },
  })
})

afterEach(async () => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  await server.close()
})

const fetchIt = (options: DownloadOptions = {}): Promise<File> => fetchIntoPage(known[0]!, options)
const folder = (): Folder => root.folders.get('trecvit-trecvit_B_k400.npz')!
const isWhole = async (file: File): Promise<boolean> =>
  Buffer.from(await file.arrayBuffer()).equals(bytes)

async function expectFailure(message: RegExp): Promise<void> {
  const error = await fetchIt().catch((error: unknown) => error)
  expectSentence(error)
  expect((error as Error).message).toMatch(message)
}

test('is stored in pieces, under a lock, and not requested again', async () => {
  expect(hasStore()).toBe(true)
  const file = await fetchIt()
  expect(file.name).toBe('trecvit_B_k400.npz')
  expect(await isWhole(file)).toBe(true)
  expect([...folder().files.keys()].sort()).toEqual(['0', '1', '2', 'about.json'])
  await server.close()
  expect(await isWhole(await fetchIt())).toBe(true)
  expect(server.requests).toHaveLength(1)
  expect(locks).toEqual(Array(2).fill('trecvit trecvit_B_k400.npz'))
})

test('continues with the pieces of a closed page', async () => {
  server.faults.stallAfter = 40 * MB
  const abort = new AbortController()
  const onProgress = (done: number): void => {
    if (done >= 40 * MB) abort.abort(new Error('enough'))
  }
  await expect(fetchIt({ onProgress, signal: abort.signal })).rejects.toThrow('enough')
  // Data that was only in memory is lost.
  folder().files.delete('1')
  server.faults.stallAfter = null
  expect(await isWhole(await fetchIt())).toBe(true)
  const start = folder().files.get('0')!.size
  expect(start).toBeGreaterThanOrEqual(32 * MB)
  expect(server.requests[1]).toMatchObject({ range: `bytes=${start}-`, ifRange: '"one"' })
})

test('a browser without room, an address that it may not read, a wrong checksum', async () => {
  await root.getDirectoryHandle('trecvit-trecvit_B_k400.npz')
  folder().room = 1000
  await expectFailure(
    /^This browser has no room for "k400" \(547 MB, CC-BY 4\.0\): free some space, or load /,
  )
  expect([...folder().files.keys()]).toEqual(['about.json'])
  folder().room = Infinity
  server.faults.hash = 'crc32c=AAAAAA=='
  await expectFailure(/does not match the server's checksum and was dropped: try again/)
  expect([...folder().files.keys()]).toEqual(['about.json'])
  server.faults.hash = undefined
  expect(await isWhole(await fetchIt())).toBe(true)
  root.folders.clear()
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('Failed to fetch')
  })
  await expectFailure(
    /cannot be reached \(Failed to fetch\); a page may not be allowed .* \(CORS\): download /,
  )
})
