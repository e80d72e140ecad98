/** An archive in Redis, and the states of its jobs. Skipped without redis-server. */
import { Worker } from 'bullmq'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Archive, PREFIX } from '../src/cli/jobs/archive.ts'
import { Keeper, Pace } from '../src/cli/jobs/keeper.ts'
import { pushAll } from '../src/cli/jobs/pushAll.ts'
import { entriesOf, resultsOf } from '../src/cli/jobs/results.ts'
import type { Settings } from '../src/cli/jobs/settings.ts'
import { noise } from './commandLine.ts'
import { hasRedis, startRedis } from './fleet/redis.mjs'
import { FRAME, model, useModel } from './serving.ts'

useModel()

/** Returns the videos of an archive with their results. */
async function rowsOf(archive: Archive) {
  const rows = []
  for await (const row of resultsOf(archive, await entriesOf(archive))) rows.push(row)
  return rows
}

describe.runIf(hasRedis)('an archive', () => {
  let archive: Archive
  let kill: () => Promise<void>
  beforeAll(async () => {
    const redis = await startRedis()
    kill = redis.kill
    archive = await Archive.open({ queue: redis.url, name: 'videos' })
  })
  afterAll(async () => {
    await archive.close()
    await kill()
  })

  const add = (id: string, video = `${id}.mp4`) =>
    archive.add(video, { id, video }, { video, settings: 'x' })

  test('has one job a video, and the first result of each', async () => {
    expect(await add('one')).toBe('new')
    expect(await add('one')).toBe('waiting')
    await archive.save('one', { progress: '{"frames":3}', snapshot: Buffer.of(1, 2) }, 60_000)
    const { isDone, saved } = await archive.state('one')
    expect([isDone, { ...saved }]).toEqual([
      false,
      { progress: Buffer.from('{"frames":3}'), snapshot: Buffer.of(1, 2) },
    ])
    expect(await archive.redis.pttl('trecvit:videos:saved:one')).toBeGreaterThan(50_000)
    await archive.finish('one', { frames: 6 })
    await archive.finish('one', { frames: 7 })
    expect(await archive.state('one')).toEqual({ isDone: true, saved: {} })
    expect(await add('one')).toBe('done')
    const results = await rowsOf(archive)
    expect(results).toEqual([[{ id: 'one', video: 'one.mp4' }, { frames: 6 }]])
    await archive.clear()
    expect(await archive.redis.keys('*')).toEqual([])
  })

  test('gives each result of many videos once, in order', async () => {
    const count = 1234
    const names = Array.from({ length: count }, (_, i) => String(i).padStart(4, '0'))
    const videos = names.flatMap((id) => [id, JSON.stringify({ id, video: id })])
    await archive.redis.hset('trecvit:videos:videos', ...videos)
    const done = names.filter((id) => id !== '0600')
    await archive.redis.hset('trecvit:videos:results', ...done.flatMap((id) => [id, `"${id}"`]))
    const rows = await rowsOf(archive)
    expect(rows.map(([{ video }]) => video)).toEqual(names)
    expect(rows.map(([, result]) => result)).toEqual(names.map((id) => (id === '0600' ? null : id)))
    await archive.clear()
  })

  test('lists and retries the jobs that have failed', async () => {
    for (const id of ['b', 'a'])
      await archive.queue.add('video', { video: id, settings: 'x' }, { jobId: id })
    const fail = () => Promise.reject(new Error('no such file'))
    const worker = new Worker('videos', fail, { connection: archive.redis, prefix: PREFIX })
    let left = 2
    await new Promise<void>((resolve) => worker.on('failed', () => --left || resolve()))
    await worker.close()
    const error = 'no such file'
    expect(await archive.failed()).toEqual([
      { id: 'a', video: 'a', error },
      { id: 'b', video: 'b', error },
    ])
    expect(await add('a')).toBe('failed')
    expect(await archive.retry()).toBe(2)
    expect(await archive.counts()).toMatchObject({ waiting: 2, failed: 0 })
    expect(await archive.failed()).toEqual([])
    await archive.clear()
  })

  test('has the settings of the first submission', async () => {
    const settings = { task: 'classify', model: {}, reading: {}, fingerprint: 'f' }
    await expect(archive.needSettings()).rejects.toThrow('The queue "videos" is empty')
    await archive.claim(settings as unknown as Settings)
    await archive.claim(settings as unknown as Settings)
    await expect(
      archive.claim({ ...settings, fingerprint: 'g' } as unknown as Settings),
    ).rejects.toThrow('The queue "videos" has jobs with another "model (fingerprint)"; give')
    await archive.clear()
  })
})

test('a job that goes on has the answers of an undisturbed one, wherever it was left', {
  tags: 'slow',
}, async () => {
  const frames = Array.from({ length: 12 }, (_, seed) => ({
    data: noise(FRAME, seed),
    shape: [16, 16, 3],
    time: seed / 25,
  }))
  const read: number[] = []
  async function* source() {
    for (const [i, frame] of frames.entries()) {
      read.push(i)
      yield frame as never
    }
  }
  const stream = model.stream()
  const wanted: number[][] = []
  for (const frame of frames) wanted.push([...(await stream.push(frame)).probs.data])
  await stream.dispose()

  /** Computes from what was saved until an answer, at which the worker ends. */
  const run = async (fields: Readonly<Record<string, Buffer>>, last: number) => {
    const kept: Record<string, Buffer>[] = []
    const archive = {
      async save(_: string, { progress, snapshot }: Readonly<Record<string, string | Buffer>>) {
        kept.push({ progress: Buffer.from(progress as string), snapshot: snapshot as Buffer })
      },
    }
    const onError = (error: unknown): never => {
      throw error
    }
    const keeper = new Keeper<number[][]>(archive, 'job', fields, { pace: new Pace(0), onError })
    // Whenever it can.
    Object.defineProperty(keeper, 'isDue', { value: true })
    const { from } = keeper
    const answers = from ? [...from.state] : []
    expect(answers.length).toBe(from?.frames ?? 0)
    await using mine = from ? await model.resume(from.snapshot) : model.stream()
    const left = new AbortController()
    const use = ({ probs }: { probs: { data: Float32Array } }): void => {
      answers.push([...probs.data])
      if (answers.length === last) throw left
    }
    const work = pushAll(mine, source(), keeper, { use, state: () => [...answers] }, left.signal)
    await work.catch((error: unknown) => expect(error).toBe(left))
    return { answers, kept }
  }
  const { answers, kept } = await run({}, Infinity)
  expect(answers).toEqual(wanted)
  expect(kept.length).toBeGreaterThan(1)
  for (const fields of kept) expect((await run(fields, Infinity)).answers).toEqual(wanted)
  const { kept: early } = await run({}, 7)
  expect((await run(early.at(-1)!, Infinity)).answers).toEqual(wanted)
})
