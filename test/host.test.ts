/** Properties of the host stay unchanged: environment variables, flags of V8, blob URLs. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openGpu } from '../src/platform/gpu.ts'
import { type PlatformWorker, startWorker } from '../src/platform/worker.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  vi.resetModules()
})

describe('the environment', () => {
  test.each([undefined, '/run/mine'])('keeps XDG_RUNTIME_DIR: %s', async (before) => {
    const { env } = process
    const kept = env['XDG_RUNTIME_DIR']
    if (before === undefined) delete env['XDG_RUNTIME_DIR']
    else env['XDG_RUNTIME_DIR'] = before
    try {
      const opening = openGpu()
      expect(env['XDG_RUNTIME_DIR']).toBe(before)
      const opened = await opening
      expect(env['XDG_RUNTIME_DIR']).toBe(before)
      if ('device' in opened) opened.device.destroy()
    } finally {
      if (kept === undefined) delete env['XDG_RUNTIME_DIR']
      else env['XDG_RUNTIME_DIR'] = kept
    }
  })
})

describe('flags of V8', () => {
  const v8 = process.getBuiltinModule('node:v8')

  test('change in one turn of the event loop, and are undone in it', async () => {
    // As in Node 24, in any runtime.
    vi.stubGlobal('navigator', { userAgent: 'Node.js/24' })
    vi.stubGlobal('process', {
      ...process,
      versions: { node: '24.0.0' },
      execArgv: [],
      getBuiltinModule: process.getBuiltinModule,
    })
    const set = vi.spyOn(v8, 'setFlagsFromString').mockImplementation(() => {})
    const turns: number[] = []
    let turn = 0
    set.mockImplementation(() => void turns.push(turn))
    const { compile } = await import('../src/backend/wasm/builds.ts')
    const counting = (async () => {
      for (; turn < 1000; turn++) await null
    })()
    await compile('wide', true)
    await counting
    const flags = set.mock.calls.map(([flag]) => flag)
    expect(flags).toEqual([
      '--experimental-wasm-revectorize',
      '--no-liftoff',
      '--no-wasm-lazy-compilation',
      '--no-wasm-inlining',
      '--no-experimental-wasm-revectorize',
      '--liftoff',
      '--wasm-lazy-compilation',
      '--wasm-inlining',
    ])
    expect(new Set(turns).size).toBe(1)
  })

  test('that the user has given stay', async () => {
    vi.stubGlobal('navigator', { userAgent: 'Node.js/24' })
    vi.stubGlobal('process', {
      ...process,
      versions: { node: '24.0.0' },
      execArgv: ['--experimental-wasm-revectorize', '--no-liftoff'],
      getBuiltinModule: process.getBuiltinModule,
    })
    const set = vi.spyOn(v8, 'setFlagsFromString').mockImplementation(() => {})
    const { compile } = await import('../src/backend/wasm/builds.ts')
    await compile('wide', true)
    expect(set.mock.calls.map(([flag]) => flag)).toEqual([
      '--no-wasm-lazy-compilation',
      '--no-wasm-inlining',
      '--wasm-lazy-compilation',
      '--wasm-inlining',
    ])
  })
})

describe('blob URLs of workers in a page', () => {
  const urls = new Set<string>()
  let pageWorker:
    | { onmessage: (event: { data: unknown }) => void; onerror: (event: object) => void }
    | undefined

  /** Starts a worker like a web page. */
  function start(Worker: unknown): PlatformWorker {
    vi.stubGlobal('process', { ...process, getBuiltinModule: undefined })
    vi.stubGlobal('Worker', Worker)
    vi.spyOn(URL, 'createObjectURL').mockImplementation(() => {
      urls.add(`blob:${urls.size}`)
      return `blob:${urls.size - 1}`
    })
    vi.spyOn(URL, 'revokeObjectURL').mockImplementation((url) => void urls.delete(url))
    return startWorker('', undefined, { message: () => {}, failed: () => {} })
  }

  class FakeWorker {
    onmessage = (): void => {}
    onerror = (): void => {}
    constructor() {
      pageWorker = this as unknown as typeof pageWorker
    }
    terminate(): void {}
  }

  test('are revoked after the first message, an error, and an end', () => {
    for (const ending of [
      () => pageWorker!.onmessage({ data: 0 }),
      () => pageWorker!.onerror({ preventDefault: () => {}, message: 'refused' }),
      (worker: PlatformWorker) => worker.end(),
    ]) {
      const worker = start(FakeWorker)
      expect(urls.size).toBe(1)
      ending(worker)
      expect(urls.size).toBe(0)
      vi.restoreAllMocks()
    }
  })

  test('are revoked when the worker is refused', () => {
    class Refused {
      constructor() {
        throw new Error('refused')
      }
    }
    expect(() => start(Refused)).toThrow('refused')
    expect(urls.size).toBe(0)
  })
})
