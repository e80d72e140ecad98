import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpz } from '../src/checkpoint/npy.ts'
import { openSource, type SourceLike } from '../src/checkpoint/openSource.ts'
import { expectSentence, readAll, readTensor } from './checkpointFiles.ts'

/** 9 MB: larger than one segment in memory and one request. */
const ramp = Float32Array.from({ length: 700_000 }, (_, i) => i)
const arrays = Array.from(
  { length: 3 },
  (_, i) => [`tensor ${i}`, { data: ramp, shape: [7, 100_000] }] as const,
)
const bytes = encodeNpz([...arrays, ['last', { data: new Float32Array([1, 2]), shape: [2] }]])

async function expectWhole(from: SourceLike): Promise<void> {
  const all = await readAll(from)
  expect([...all.keys()]).toEqual(['tensor 0', 'tensor 1', 'tensor 2', 'last'])
  for (const [name] of arrays)
    expect(all.get(name)!.values.every((value, i) => value === i)).toBe(true)
  expect([...all.get('last')!.values]).toEqual([1, 2])
}

async function expectFailure(from: unknown, message: RegExp): Promise<void> {
  const error = await openSource(from as SourceLike).then(
    () => undefined,
    (error: unknown) => error,
  )
  expectSentence(error)
  expect((error as Error).message).toMatch(message)
}

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-source-'))
  const path = join(folder, 'a model.npz')
  beforeAll(() => writeFileSync(path, bytes))
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each([
    ['path', path],
    ['file URL', pathToFileURL(path)],
    ['file URL in a string', pathToFileURL(path).href],
  ])('%s', async (_, from) => {
    await expectWhole(from)
  })

  test('the name is the last part of the path', async () => {
    const checkpoint = await openCheckpoint(path)
    expect(checkpoint).toMatchObject({
      name: 'a model.npz',
      format: 'npz',
      size: bytes.length,
      metadata: {},
    })
    await checkpoint.close()
    expectSentence(await checkpoint.read('last', () => {}).catch((error: unknown) => error))
  })

  test('missing, empty, a directory, a pipe', async () => {
    writeFileSync(join(folder, 'empty.npz'), '')
    await expectFailure(join(folder, 'none.npz'), /^There is no file at ".*none\.npz"$/)
    await expectFailure(join(folder, 'empty.npz'), /"empty\.npz" is empty \(0 bytes\)/)
    await expectFailure(folder, /is a directory/)
    await expectFailure(join(path, 'below'), /cannot be opened \(ENOTDIR\)/)
    await expectFailure('a\0b', /cannot be opened/)
    if (process.platform === 'win32') return
    execFileSync('mkfifo', [join(folder, 'pipe')])
    await expectFailure(join(folder, 'pipe'), /is not a regular file/)
  })

  test('a file that shrinks while it is read', async () => {
    const shrinking = join(folder, 'shrinking.npz')
    writeFileSync(shrinking, bytes)
    const checkpoint = await openCheckpoint(shrinking)
    truncateSync(shrinking, 5_000_000)
    await readTensor(checkpoint, 'tensor 0')
    const error = await checkpoint.read('tensor 2', () => {}).catch((error: unknown) => error)
    expectSentence(error)
    expect((error as Error).message).toMatch(/it was changed/)
    await checkpoint.close()
  })
})

describe('memory', () => {
  test('Uint8Array, ArrayBuffer, Blob, File', { tags: 'slow' }, async () => {
    const padded = new Uint8Array(bytes.length + 3)
    padded.set(bytes, 3)
    await expectWhole(padded.subarray(3))
    await expectWhole(bytes.buffer as ArrayBuffer)
    await expectWhole(new Blob([bytes as BlobPart]))
    expect((await openSource(new File([bytes as BlobPart], 'chosen.npz'))).name).toBe('chosen.npz')
  })

  test('values that are not a source', async () => {
    await expectFailure(new Uint8Array(0), /is empty/)
    await expectFailure(null, /got null$/)
    await expectFailure(7, /got 7$/)
    await expectFailure(new URL('ftp://host/x'), /got "ftp:"/)
    await expectFailure('http://', /"http:\/\/" is not valid/)
  })

  test('reading past the end', async () => {
    const source = await openSource(new Uint8Array(10))
    expectSentence(await source.read(5, new Uint8Array(6)).catch((error: unknown) => error))
    expectSentence(await source.read(-1, new Uint8Array(1)).catch((error: unknown) => error))
  })
})

describe('HTTP', () => {
  let server: Server | undefined
  const requests: string[] = []
  afterEach(async () => {
    server?.closeAllConnections()
    if (server !== undefined) await new Promise((resolve) => server?.close(resolve))
    server = undefined
    requests.length = 0
    vi.unstubAllGlobals()
  })

  /** Returns the URL of a file on a server with this listener. */
  async function serve(listener: RequestListener): Promise<string> {
    server = createServer((request, response) => {
      requests.push(request.headers.range ?? 'all')
      listener(request, response)
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/a.npz?token=secret`
  }

  /** Answers Range requests. `change` may falsify the nth response. */
  function ranges(
    change: (
      n: number,
      answer: { start: number; end: number; size: number; status: number; body: Uint8Array },
    ) => void = () => {},
  ): RequestListener {
    return (request, response) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
      const start = Number(from)
      const end = Math.min(Number(to) + 1, bytes.length)
      const answer = {
        start,
        end,
        size: bytes.length,
        status: 206,
        body: bytes.subarray(start, end),
      }
      change(requests.length - 1, answer)
      response.writeHead(answer.status, {
        'Content-Range': `bytes ${answer.start}-${answer.end - 1}/${answer.size}`,
      })
      response.end(answer.body)
    }
  }

  async function expectHttpFailure(listener: RequestListener, message: RegExp): Promise<void> {
    const error = await readAll(await serve(listener)).catch((error: unknown) => error)
    expectSentence(error)
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message).not.toContain('secret')
  }

  test('with Range: everything, in few requests', { tags: 'slow' }, async () => {
    await expectWhole(await serve(ranges()))
    // The probe, the directory, four headers, and the tensors. Each starts a new window, which
    // doubles from 1 MiB.
    expect(requests.length).toBeLessThan(12)
    expect(requests).not.toContain('all')
  })

  test('with Range: one tensor costs little more than itself', async () => {
    const url = await serve(ranges())
    const checkpoint = await openCheckpoint(new URL(url))
    expect(checkpoint).toMatchObject({ name: 'a.npz', size: bytes.length })
    expect([...(await readTensor(checkpoint, 'last'))]).toEqual([1, 2])
    await checkpoint.close()
    const requestedBytes = requests
      .map((range) => /^bytes=(\d+)-(\d+)$/.exec(range)!)
      .reduce((sum, [, from, to]) => sum + Number(to) + 1 - Number(from), 0)
    expect(requestedBytes).toBeLessThan(250_000)
  })

  test('with Range: concurrent reads', { tags: 'slow' }, async () => {
    const checkpoint = await openCheckpoint(await serve(ranges()))
    const all = await Promise.all([2, 0, 1].map((i) => readTensor(checkpoint, `tensor ${i}`)))
    for (const values of all) expect(values.every((value, i) => value === i)).toBe(true)
    await checkpoint.close()
  })

  test.each([true, false])(
    'without Range: one download (length announced: %s)',
    async (announced) => {
      await expectWhole(
        await serve((_, response) => {
          response.writeHead(200, announced ? { 'Content-Length': bytes.length } : {})
          response.end(bytes)
        }),
      )
      expect(requests).toHaveLength(1)
    },
  )

  test('a compressed answer: its announced length is not that of the file', {
    tags: 'slow',
  }, async () => {
    await expectWhole(
      await serve((_, response) => {
        const packed = gzipSync(bytes, { level: 1 })
        response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': packed.length })
        response.end(packed)
      }),
    )
  })

  test('Content-Range hidden: one download', async () => {
    await expectWhole(
      await serve((request, response) => {
        response.writeHead(request.headers.range === undefined ? 200 : 206)
        response.end(request.headers.range === undefined ? bytes : bytes.subarray(0, 65536))
      }),
    )
    expect(requests).toEqual(['bytes=0-65535', 'all'])
  })

  test.each<[string, RequestListener, RegExp]>([
    [
      '404',
      (_, response) => response.writeHead(404).end('<html>'),
      /^URL "http:.*\/models\/a\.npz" answered with HTTP 404 Not Found$/,
    ],
    ['500 later on', ranges((n, answer) => void (n > 1 && (answer.status = 500))), /HTTP 500/],
    [
      'an empty file',
      (_, response) => response.writeHead(416, { 'Content-Range': 'bytes */0' }).end(),
      /is empty \(0 bytes\)/,
    ],
    ['an empty answer', (_, response) => response.writeHead(200).end(), /is empty \(0 bytes\)/],
    [
      'a page',
      (_, response) =>
        response.writeHead(200).end('<!DOCTYPE html><html><body>Sign in</body></html>'),
      /an HTML or XML page/,
    ],
    [
      'another start',
      ranges((n, answer) => void (n > 0 && (answer.start += 1))),
      /was asked for bytes \d+ to \d+ and answered with HTTP 206, Content-Range "bytes/,
    ],
    [
      'another end',
      ranges((n, answer) => void (n > 0 && (answer.end -= 1))),
      /was asked for bytes/,
    ],
    [
      'another size',
      ranges((n, answer) => void (n > 1 && (answer.size += 1))),
      /changed from \d+ to \d+ bytes/,
    ],
    [
      'a size too small from the start',
      ranges((_, answer) => void (answer.size = answer.end)),
      /no zip directory at its end/,
    ],
    [
      '200 in the middle',
      ranges((n, answer) => void (n > 1 && (answer.status = 200))),
      /answered with HTTP 200/,
    ],
    [
      'a body shorter than its range',
      ranges((n, answer) => void (n > 1 && (answer.body = answer.body.subarray(0, 10)))),
      /ended at byte \d+, before the promised \d+/,
    ],
    [
      'shifted bytes',
      ranges((n, answer) => void (n > 8 && (answer.body = answer.body.map((byte) => byte ^ 1)))),
      /does not match its checksum/,
    ],
    [
      'a length that is not kept',
      (_, response) => {
        response.writeHead(200, { 'Content-Length': bytes.length })
        response.write(bytes.subarray(0, 1000))
        setTimeout(() => response.destroy(), 20)
      },
      /broke|promised/,
    ],
    ['a connection that breaks', (_, response) => void response.destroy(), /cannot be reached/],
    [
      'absurd numbers',
      (_, response) =>
        response
          .writeHead(206, { 'Content-Range': 'bytes 0-99999999999999/99999999999999999999' })
          .end('x'),
      /is a file of unknown kind/,
    ],
    [
      'an absurd size',
      (_, response) =>
        response
          .writeHead(206, { 'Content-Range': 'bytes 0-65535/900000000000000' })
          .end(bytes.subarray(0, 65536)),
      /was asked for bytes/,
    ],
  ])('%s', async (_, listener, message) => {
    await expectHttpFailure(listener, message)
  })

  test('more bytes than the range has are not taken', async () => {
    await expectWhole(
      await serve(
        ranges(
          (n, answer) =>
            void (n > 0 && (answer.body = bytes.subarray(answer.start, answer.end + 5))),
        ),
      ),
    )
  })

  test('a body shorter than its length, where fetch does not check', async () => {
    vi.stubGlobal(
      'fetch',
      async () => new Response(bytes as BodyInit, { headers: { 'Content-Length': '70' } }),
    )
    await expectFailure('http://host/a.npz', /promised 70 bytes and sent \d+/)
  })

  test('a response is reused over a small gap, and dropped for a far offset', async () => {
    let pulled = 0
    let given = 0
    vi.stubGlobal('fetch', async (_: URL, { headers }: { headers: { Range: string } }) => {
      requests.push(headers.Range)
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.Range)!
      let at = Number(from)
      const body = new ReadableStream(
        {
          pull(controller) {
            const part = bytes.slice(at, Math.min(at + 10_000, Number(to) + 1))
            at += part.length
            pulled += part.length
            if (part.length > 0) controller.enqueue(part)
            else controller.close()
          },
          cancel: () => void given++,
        },
        { highWaterMark: 0 },
      )
      return new Response(body, {
        status: 206,
        headers: { 'Content-Range': `bytes ${from}-${to}/${bytes.length}` },
      })
    })
    const source = await openSource('http://host/a.npz')
    const into = new Uint8Array(2 ** 20)
    for (const [offset, count] of [
      [0, 2],
      [2 ** 20, 2],
      [2 ** 21 + 5000, 3],
      [2 ** 21 + 10_000 + 2 ** 20, 3],
    ] as const) {
      await source.read(offset, into)
      expect(into.every((byte, i) => byte === bytes[offset + i])).toBe(true)
      expect(requests.length).toBe(count)
    }
    const before = pulled
    await source.read(8_000_000, into.subarray(0, 10))
    expect(pulled - before).toBeLessThanOrEqual(10_000)
    expect(given).toBe(1)
    await source.close()
    const unread = await openSource('http://host/a.npz')
    await unread.close()
    expect(given).toBe(2)
    const closedEarly = await openSource('http://host/a.npz')
    const reading = closedEarly.read(0, into.subarray(0, 10))
    await closedEarly.close()
    await reading
    await vi.waitFor(() => expect(given).toBe(3))
  })

  test('no server', async () => {
    const url = await serve(() => {})
    await new Promise((resolve) => server!.close(resolve))
    await expectFailure(url, /cannot be reached \(.*ECONNREFUSED/)
  })

  test('aborting ends a request that gets no answer', async () => {
    const abort = new AbortController()
    const url = await serve(() => abort.abort(new Error('enough')))
    await expect(openCheckpoint(url, { signal: abort.signal })).rejects.toThrow('enough')
    await expect(openCheckpoint(url, { signal: abort.signal })).rejects.toThrow('enough')
    await expect(openSource(bytes, { signal: abort.signal })).rejects.toThrow('enough')
    expect(requests).toHaveLength(1)
  })

  test('aborting ends a read that stalls', async () => {
    const abort = new AbortController()
    const url = await serve((request, response) => {
      if (requests.length < 8) return ranges()(request, response)
      abort.abort(new Error('enough'))
    })
    const checkpoint = await openCheckpoint(url, { signal: abort.signal })
    await expect(
      Promise.all([...checkpoint.tensors.keys()].map((name) => checkpoint.read(name, () => {}))),
    ).rejects.toThrow('enough')
  })
})
