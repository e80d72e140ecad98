/**
 * The CPU on worker threads: bit-identical results for any number of threads, a responsive event
 * loop, and recovery from all failures.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { compile } from '../src/backend/wasm/builds.ts'
import { openMachine } from '../src/backend/wasm/open.ts'
import { ThreadPool } from '../src/backend/wasm/threadPool.ts'
import { WasmBackend } from '../src/backend/wasm/wasm.ts'
import { createRandomModel, randomFrame } from '../src/bench/lib/randomModel.ts'
import { configOf, TRecViT, TrecvitError } from '../src/index.ts'
import { recordModel } from '../src/model/graph.ts'
import { weightTable } from '../src/model/weights.ts'
import { backends, threadedBackends } from './backends.ts'
import { Goldens, goldenUrl } from './goldens.ts'
import { loadModel, models } from './models.ts'
import { expectSame } from './ops.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

describe.each(models)("$name has the bits of the caller's thread", async ({ name, given }) => {
  const video = Uint8Array.from((await Goldens.open(`${name}_io.npz`)).get('video').values)
  const answers = async (create: (typeof backends)[number]['create']) => {
    const model = await loadModel(create, name, given)
    const session = model.session({ b: 1, recent: { frames: 2 }, encoded: true })
    const size = 3 * model.config.imageSize[0] * model.config.imageSize[1]
    const outputs = []
    for (const [from, t] of [
      [0, 1],
      [1, 3],
    ] as const)
      outputs.push(
        (await session.advance(video.subarray(from * size, (from + t) * size), t)).outputs,
      )
    return { outputs, states: (await session.read()).values }
  }
  const want = await answers(backends[0]!.create)

  // In npm test one model.
  const tags = name === 'small' ? [] : ['slow']
  test.each(threadedBackends)('$name', { tags }, async ({ create }) => {
    const got = await answers(create)
    got.outputs.forEach((outputs, chunk) =>
      Object.entries(outputs).forEach(([output, values]) =>
        expectSame(`${output} of chunk ${chunk}`, values, want.outputs[chunk]![output]!),
      ),
    )
    got.states.forEach((values, index) => expectSame(`state ${index}`, values, want.states[index]!))
  })
})

test('"threads" is checked, and the device has the number', { tags: 'slow' }, async () => {
  for (const threads of [0, -1, NaN, 1.5, 65, '2' as unknown as number]) {
    await expect(TRecViT.load('builtin', { device: 'wasm', threads })).rejects.toThrow(
      /"threads" expected an integer from 1 to 64, got/,
    )
  }
  const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true, threads: 3 })
  expect(model.device).toEqual({
    backend: 'wasm',
    kernels: 'simd',
    threads: 3,
    reason: null,
    gpu: null,
  })
  await model.dispose()
})

/**
 * CPU time of this thread in milliseconds. If the system does not report it, the active time of the
 * event loop.
 */
function spent(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6
  } catch {
    return performance.eventLoopUtilization().active
  }
}

describe('the event loop', () => {
  test('is occupied for less than 4 ms by a frame', { tags: 'slow' }, async () => {
    const config = configOf('S', { depth: 4 })
    const engine = await createRandomModel(config, 1, { threads: 2 })
    const pixels = randomFrame(config, 0)
    for (let frame = 0; frame < 2; frame++) await engine.advance(pixels)
    const before = spent()
    for (let frame = 0; frame < 8; frame++) {
      const start = performance.now()
      // Yields to the event loop.
      await sleep(0)
      await engine.advance(pixels)
      expect(performance.now() - start).toBeGreaterThan(20)
    }
    const active = (spent() - before) / 8
    engine.backend.dispose()
    expect(active).toBeLessThan(4)
  })

  test('and CPUs are idle while nothing is computed', { tags: 'slow' }, async () => {
    const model = await TRecViT.load('builtin', { device: 'wasm', threads: 4 })
    const stream = model.stream()
    await stream.push({ data: new Uint8Array(96 * 96 * 3), shape: [96, 96, 3] })
    const idle = async () => {
      const before = process.cpuUsage()
      await sleep(200)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1000
    }
    // At first V8 compiles kernels in the background.
    for (let tries = 0; tries < 20 && (await idle()) >= 20; tries++);
    const times = [await idle(), await idle(), await idle()]
    await model.dispose()
    expect(Math.min(...times)).toBeLessThan(20)
  })
})

test('streams of one model alternate, and models run concurrently', { tags: 'slow' }, async () => {
  const [one, other] = [
    await TRecViT.load('builtin', { device: 'wasm', threads: 2 }),
    await TRecViT.load('builtin', { device: 'wasm', threads: 3 }),
  ]
  const frame = (index: number) => ({
    data: Uint8Array.from(
      { length: 96 * 96 * 3 },
      (_, at) => Math.imul(at + index, 0x9e3779b1) >>> 24,
    ),
    shape: [96, 96, 3],
  })
  const done: string[] = []
  const push = async (name: string, model: TRecViT) => {
    const stream = model.stream()
    return Promise.all(
      [0, 1, 2, 3].map(async (index) => {
        const { logits } = await stream.push(frame(index))
        done.push(name)
        return [...logits.data]
      }),
    )
  }
  const all = await Promise.all([push('a', one), push('b', one), push('c', other)])
  expect(all[1]).toEqual(all[0])
  expect(all[2]).toEqual(all[0])
  // At most two results ahead.
  const ofOne = done.filter((name) => name !== 'c')
  for (let end = 1; end <= ofOne.length; end++) {
    const ahead = ofOne.slice(0, end).reduce((sum, name) => sum + (name === 'a' ? 1 : -1), 0)
    expect(Math.abs(ahead)).toBeLessThanOrEqual(1)
  }
  await one.dispose()
  await other.dispose()
})

describe('what fails rejects', () => {
  const config = configOf('mu', { imageSize: [32, 32], repSize: 8, numClasses: 3 })
  const program = recordModel(config, { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false })
  const job = {
    table: 0,
    begin: 0,
    end: 1,
    state: 0,
    frame: 0,
    averageFrames: 0,
    scratch: 0,
    scratchBytes: 0,
  }

  test.each([
    [
      'a pool of three threads',
      async () => ThreadPool.shared(await compile('simd', true), 3, undefined),
    ],
    [
      'a thread with a memory of its own',
      async () => ThreadPool.single(await compile('simd', false), undefined),
    ],
  ])('%s whose kernels trap, now and from then on', async (_, start) => {
    const machine = await start()
    await expect(machine.run({ ...job, table: 2 ** 32 - 64 })).rejects.toThrow(
      /A thread of the CPU backend failed \(.*out of bounds.*\)/,
    )
    await expect(machine.run(job)).rejects.toThrow(TrecvitError)
    machine.dispose()
  })

  test('one thread that traps while the others wait for it', { tags: 'slow' }, async () => {
    const machine = await ThreadPool.shared(await compile('simd', true), 3, undefined)
    const backend = await WasmBackend.create(weightTable(config), machine)
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states)
    const run = machine.run.bind(machine)
    // The working memory of thread 1 is out of bounds; that of thread 0 is not.
    machine.run = (given) => run({ ...given, scratchBytes: 2 ** 31 })
    const frames = Array.from({ length: 20 }, () =>
      replay.run(state, 0, { pixels: new Uint8Array(32 * 32 * 3) }),
    )
    const results = await Promise.allSettled(frames)
    expect(results.some(({ status }) => status === 'rejected')).toBe(true)
    expect(results[19]!.status).toBe('rejected')
  })

  test('work that is under way when the model is disposed of', { tags: 'slow' }, async () => {
    const model = await TRecViT.load(goldenUrl('small.npz'), { device: 'wasm', threads: 2 })
    const stream = model.stream()
    const size = [64, 64, 3]
    const frames = Array.from({ length: 50 }, () =>
      stream.push({ data: new Uint8Array(64 * 64 * 3), shape: size }),
    )
    await frames[0]
    await model.dispose()
    await expect(Promise.all(frames)).rejects.toThrow(
      'The model was disposed of before its work was done',
    )
  })

  test("a worker that ends at once: the caller's own thread computes, and says why", {
    tags: 'slow',
  }, async () => {
    const { machine, reason } = await openMachine('simd', {
      threads: 2,
      workerUrl: new URL('data:text/javascript,process.exit(3)'),
    })
    expect(machine.threads).toBe(1)
    expect(reason).toMatch(/^the calling thread only: workers are refused \(it ended with code 3\)/)
  })

  test('a worker that says nothing: another is started; when none answers, ' +
    "the caller's own thread computes, and says why", { tags: 'slow' }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'trecvit-'))
    const started = join(folder, 'started')
    /** Returns a worker script that does not respond for the first `silent` starts. */
    const url = (silent: number) =>
      new URL(
        `data:text/javascript,${encodeURIComponent(`
      import { appendFileSync, readFileSync } from 'node:fs'
      appendFileSync(${JSON.stringify(started)}, '.')
      if (readFileSync(${JSON.stringify(started)}).length <= ${silent}) setInterval(() => {}, 1000)
      else await import(${JSON.stringify(new URL('../dist/worker.js', import.meta.url).href)})`)}`,
      )
    const second = await openMachine('simd', { threads: 1, workerUrl: url(1) })
    expect([second.machine, second.reason]).toEqual([expect.any(ThreadPool), null])
    second.machine.dispose()
    await writeFile(started, '')
    const none = await openMachine('simd', { threads: 1, workerUrl: url(9) })
    expect(none.machine).not.toBeInstanceOf(ThreadPool)
    expect(none.reason).toBe('the calling thread only: workers are refused (it does not start)')
    expect(await readFile(started, 'utf8')).toBe('...')
    await rm(folder, { recursive: true })
  })
})

describe('without', () => {
  /** Imports the package again in the current environment. Returns its result for one frame. */
  const answer = async () => {
    const { TRecViT: Fresh } = await import('../src/index.ts')
    const model = await Fresh.load('builtin', { device: 'wasm', threads: 2 })
    const { logits } = await model
      .stream()
      .push({ data: Uint8Array.from({ length: 96 * 96 * 3 }, (_, at) => at), shape: [96, 96, 3] })
    await model.dispose()
    return { device: model.device, logits: [...logits.data] }
  }

  test("shared memory there is one thread, in a worker; without workers, the caller's own; " +
    'the bits are the same', { tags: 'slow' }, async () => {
    const want = await answer()
    expect(want.device).toMatchObject({ threads: 2, reason: null })
    vi.resetModules()
    vi.stubGlobal('SharedArrayBuffer', undefined)
    const alone = await answer()
    expect(alone.device).toMatchObject({
      threads: 1,
      reason: expect.stringMatching(
        /^one thread: memory cannot be shared here; a page needs cross-origin isolation/,
      ) as string,
    })
    expect(alone.logits).toEqual(want.logits)
    vi.resetModules()
    vi.stubGlobal('process', { ...process, getBuiltinModule: undefined })
    const here = await answer()
    expect(here.device).toMatchObject({
      threads: 1,
      reason: expect.stringMatching(
        /^the calling thread only: workers are refused \(there are no workers here\)/,
      ) as string,
    })
    expect(here.logits).toEqual(want.logits)
  })
})

test('a process with a model that was not disposed of ends by itself', { tags: 'slow' }, () => {
  const index = new URL('../dist/index.js', import.meta.url).href
  const script = `
    const { TRecViT } = await import(${JSON.stringify(index)})
    const model = await TRecViT.load('builtin', { device: 'wasm', threads: 2 })
    await model.stream().push({ data: new Uint8Array(96 * 96 * 3), shape: [96, 96, 3] })
    console.log('answered')`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  expect([status, stdout]).toEqual([0, 'answered\n'])
})
