/** Pictures and large bodies on worker threads: same results, and a responsive event loop. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { UnavailableError } from '../src/cli/serve/health.ts'
import { openPool, type Pool } from '../src/cli/serve/pool.ts'
import { type FrameTask, tasks } from '../src/cli/serve/tasks.ts'
import { TrecvitError } from '../src/index.ts'
import { noise } from './commandLine.ts'
import { watchedWorkers } from './faults.ts'
import {
  appOf,
  expected,
  FRAME,
  infer,
  media,
  outputsOf,
  post,
  request,
  unexpected,
  useModel,
} from './serving.ts'

useModel()

let pool: Pool
beforeAll(
  () => void (pool = openPool({ waiting: 8, timeout: 20_000 }, (error) => unexpected.push(error))),
)
afterAll(() => pool.end())

const frameTask = (bytes: Uint8Array, size: FrameTask['size'] = null): FrameTask => ({
  bytes,
  size,
  maxPixels: 1e8,
  imageSize: [24, 16],
})

test('frames have the same bits as on the calling thread', { tags: 'slow' }, async () => {
  const raw = { width: 301, height: 200 }
  for (const [bytes, size] of [
    [media('picture.png'), null],
    [media('picture.jpg'), null],
    [noise(301 * 200 * 3), raw],
  ] as const) {
    const want = await tasks.toModel(frameTask(bytes, size))
    // Bytes that are part of a shared buffer must stay usable.
    const shared = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)]).subarray(
      3,
      3 + bytes.length,
    )
    expect(await pool.tasks.toModel(frameTask(shared, size))).toEqual(want)
    expect(Buffer.from(bytes).equals(shared)).toBe(true)
    expect(await pool.tasks.toModel(frameTask(Uint8Array.from(bytes), size))).toEqual(want)
  }
})

test('what does not fit is refused with the same sentence', { tags: 'slow' }, async () => {
  for (const bytes of [noise(100), media('picture.png').subarray(0, 500), Buffer.alloc(0)]) {
    const error = await tasks.toModel(frameTask(bytes)).catch((reason: Error) => reason)
    expect(error).toBeInstanceOf(TrecvitError)
    const refused = await pool.tasks.toModel(frameTask(bytes)).catch((reason: Error) => reason)
    expect(refused).toBeInstanceOf(TrecvitError)
    expect((refused as Error).message).toBe((error as Error).message)
  }
})

test('large bodies are parsed there, and answered as small ones are', {
  tags: 'slow',
}, async () => {
  const app = appOf({ tasks: pool.tasks })
  const frames = noise(150 * FRAME)
  const shape = [1, 150, 16, 16, 3]
  const want = await expected(frames)
  const answer = await app.request(infer, post(request([...frames], shape)))
  expect(outputsOf((await answer.json()) as Record<string, unknown>)).toEqual(want)
  const bytes = await app.request(infer, post(frames, { 'Inference-Header-Content-Length': '0' }))
  expect(outputsOf((await bytes.json()) as Record<string, unknown>)).toEqual(want)
  const wrong = await app.request(infer, post(request([...frames, 1], shape)))
  expect([wrong.status, await wrong.json()]).toEqual([
    400,
    { error: expect.stringMatching(/115200 numbers .*, got 115201/) },
  ])
  expect((await app.request(infer, post(`{"inputs":${'['.repeat(200_000)}`))).status).toBe(400)
})

test('the event loop runs while a large picture is resized', { tags: 'slow' }, async () => {
  const task = () =>
    frameTask(new Uint8Array(3264 * 2448 * 3).fill(7), { width: 3264, height: 2448 })
  const turnsOf = async (work: Promise<unknown>) => {
    let turns = 0
    let done = false
    void work.finally(() => (done = true))
    for (; !done; turns++) await new Promise((resolve) => setImmediate(resolve))
    return turns
  }
  // Starts the threads.
  await pool.tasks.toModel(task())
  expect(await turnsOf(tasks.toModel(task()))).toBeLessThan(5)
  expect(await turnsOf(pool.tasks.toModel(task()))).toBeGreaterThan(20)
})

test('more tasks than threads wait in turn; more than are allowed are refused', {
  tags: 'slow',
}, async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, () => pool.tasks.toModel(frameTask(media('picture.jpg')))),
  )
  expect(outcomes.slice(0, 8).every(({ status }) => status === 'fulfilled')).toBe(true)
  expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0)
  expect(pool.waiting).toBe(0)
  expect((await pool.tasks.toModel(frameTask(media('picture.jpg')))).shape).toEqual([24, 16, 3])
})

test('a thread that dies fails only its own task', { tags: 'slow' }, async () => {
  const workers = watchedWorkers()
  const crashing = openPool({ waiting: 8, timeout: 20_000 }, (error) => unexpected.push(error))
  try {
    const picture = () => crashing.tasks.toModel(frameTask(media('picture.jpg')))
    const want = await picture()
    // Without a task, and during a task.
    workers.kill('terminated')
    await vi.waitFor(() => expect(workers.started()).toBe(2))
    expect(await picture()).toEqual(want)
    const large = frameTask(new Uint8Array(3264 * 2448 * 3), { width: 3264, height: 2448 })
    const outcomes = Promise.allSettled(
      Array.from({ length: 5 }, () => crashing.tasks.toModel(large)),
    )
    await new Promise((resolve) => setTimeout(resolve, 20))
    // Some of them are still starting.
    for (let i = 0; i < workers.alive(); i++) workers.kill('terminated', i)
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(UnavailableError)
    }
    await vi.waitFor(async () => expect(await picture()).toEqual(want), { timeout: 20_000 })
    const app = appOf({
      tasks: {
        ...crashing.tasks,
        parse: () => Promise.reject(new UnavailableError('The thread failed')),
      },
    })
    const answer = await app.request(
      infer,
      post(noise(100 * FRAME), { 'Inference-Header-Content-Length': '0' }),
    )
    expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toEqual([
      503,
      '1',
      { error: 'The thread failed' },
    ])
  } finally {
    await crashing.end()
    workers.restore()
  }
})

test('a task that exceeds the timeout is rejected', async () => {
  const shortTimeout = openPool({ waiting: 8, timeout: 1 }, (error) => unexpected.push(error))
  const large = frameTask(new Uint8Array(3264 * 2448 * 3), { width: 3264, height: 2448 })
  await expect(shortTimeout.tasks.toModel(large)).rejects.toThrow(UnavailableError)
  await shortTimeout.end()
})
