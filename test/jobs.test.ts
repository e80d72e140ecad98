/** Queues of jobs, without Redis: test/fleet/archive.mjs has them with it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { NpyWriter } from '../src/cli/featureFiles.ts'
import { contentOf } from '../src/cli/jobs/content.ts'
import { Keeper, Pace } from '../src/cli/jobs/keeper.ts'
import {
  changesOf,
  checkTask,
  nameOf,
  type Settings,
  settingsHash,
  type TaskOptions,
} from '../src/cli/jobs/settings.ts'
import { byVideo } from '../src/cli/jobs/types.ts'
import { Warnings } from '../src/cli/jobs/warnings.ts'
import { checkRedisUrl, isConnectionError, isFull, redisError } from '../src/cli/redis.ts'
import { TRecViT } from '../src/index.ts'
import { type ClipAnswer, type ClipOptions, classifyClips } from '../src/model/clips.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { Timeline } from '../src/model/timeline.ts'
import { builtin, file, folder, noise, outcome, start } from './commandLine.ts'

afterAll(() => rmSync(folder, { recursive: true }))

describe('the name of a job', () => {
  const { signal } = new AbortController()

  test('follows from the content of a file or a folder of pictures', async () => {
    const one = file('one.y4m', 'content')
    const same = file('same.y4m', 'content')
    const other = file('other.y4m', 'content!')
    const [first, second, third] = await Promise.all(
      [one, same, other].map((path) => contentOf(path, signal)),
    )
    expect(first).toMatch(/^7 [0-9a-f]{64}$/)
    expect(second).toBe(first)
    expect(third).not.toBe(first)
    mkdirSync(join(folder, 'pictures'))
    writeFileSync(join(folder, 'pictures', '1.png'), 'con')
    writeFileSync(join(folder, 'pictures', '2.png'), 'tent')
    expect(await contentOf(join(folder, 'pictures'), signal)).toBe(first)
    await expect(contentOf(join(folder, 'none.mp4'), signal)).rejects.toThrow(
      /^".*none\.mp4" cannot be read \(ENOENT\)$/,
    )
  })

  const settings: Settings = {
    task: 'classify',
    model: { model: '/a/model.npz' },
    fingerprint: 'abc',
    classes: ['one', 'two'],
    reading: {
      ...{ decoder: 'auto', onError: 'error', pixelAspect: 'ignore', topK: 5, window: 16 },
    },
  }

  test('follows from the content, the settings and the place of the result', () => {
    const names = [
      nameOf('7 abc', 'one'),
      nameOf('7 abd', 'one'),
      nameOf('7 abc', 'two'),
      nameOf('7 abc', 'one', 'out/a.npy'),
      nameOf('7 abc', 'one', [0, 5]),
      nameOf('7 abc', 'one', [5, 10]),
    ]
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^v[\da-f]{40}$/)
    expect(nameOf('7 abc', 'one')).toBe(names[0])
  })

  test('follows from the settings, but not from the place of the model', () => {
    const moved = { ...settings, model: { model: '/b/model.npz' } }
    const rounded = { ...settings, model: { ...moved.model, dtype: 'f16' as const } }
    expect(settingsHash(moved)).toBe(settingsHash(settings))
    expect(settingsHash(rounded)).not.toBe(settingsHash(settings))
    expect(changesOf(settings, moved)).toEqual([])
    expect(changesOf(settings, rounded)).toEqual(['"dtype"'])
    const { reading, ...rest } = settings
    expect(
      changesOf(settings, { ...rest, fingerprint: 'x', reading: { ...reading, onError: 'skip' } }),
    ).toEqual(['"model (fingerprint)"', '"on-error"'])
  })
})

test('options that do not belong to the task are one sentence', () => {
  const options = (more: Partial<TaskOptions>): TaskOptions => ({
    ...{ task: 'classify', model: 'builtin', decoder: 'auto', onError: 'error' },
    ...{ pixelAspect: 'ignore', ...more },
  })
  expect(() => checkTask(options({}))).not.toThrow()
  expect(() => checkTask(options({ pool: 'gap' }))).toThrow(
    '"--pool" expected "--task features", got "classify"',
  )
  expect(() => checkTask(options({ task: 'features', clips: 4, output: 'x.npy' }))).toThrow(
    '"--clips" expected "--task classify" or "--task evaluate", got "features"',
  )
  expect(() => checkTask(options({ task: 'features' }))).toThrow('expected "--output <file>"')
  expect(() => checkTask(options({ clips: 4, independentSegments: 60 }))).toThrow(
    '"--independent-segments" cannot be given with "--clips"',
  )
})

test('videos are in the order of their names, parts in the order of time', () => {
  const part = (video: string, from: number) => ({ video, part: [from, from + 1] as const })
  const sorted = [{ video: 'a' }, part('b', 2), part('b', 10), { video: 'c' }]
  expect([...sorted].reverse().sort(byVideo)).toEqual(sorted)
})

describe('Redis', () => {
  test.each(['redis://localhost', 'rediss://user:pass@host:6380/3', 'redis://[::1]:6379'])(
    'is at %s',
    (url) => expect(checkRedisUrl('--queue', url)).toBe(url),
  )
  test.each(['localhost:6379', 'http://localhost', 'redis://', 'redis://host/name'])(
    'is not at %s',
    (url) => expect(() => checkRedisUrl('--queue', url)).toThrow('"--queue" expected an address'),
  )

  test('has errors that are sentences, without its password', () => {
    const sentence = (message: string, code?: string) =>
      (
        redisError(
          'redis://:secret@host:7000',
          Object.assign(new Error(message), { code }),
        ) as Error
      ).message
    expect(sentence('connect ECONNREFUSED', 'ECONNREFUSED')).toBe(
      'Redis at host:7000 cannot be reached (ECONNREFUSED); check its address, and that ' +
        'redis-server runs there',
    )
    expect(sentence("OOM command not allowed when used memory > 'maxmemory'.")).toMatch(/is full/)
    expect(sentence('MISCONF Redis is configured to save RDB snapshots')).toMatch(/no writes/)
    expect(sentence('NOAUTH Authentication required.')).toMatch(/needs a password \(NOAUTH\)/)
    expect(sentence('ERR DB index is out of range')).toMatch(/has no database of this number/)
    expect(sentence('Connection is closed.')).toMatch(/did not come back/)
    expect(sentence('ERR something else')).toBe('ERR something else')
    expect(isFull(new Error('Redis at host:1 is full (OOM)'))).toBe(true)
    expect(isConnectionError(Object.assign(new Error('x'), { code: 'EPIPE' }))).toBe(true)
    expect(isConnectionError(new Error('Missing lock for job'))).toBe(false)
  })
})

test('a worker reports a full Redis once, until a result is stored', () => {
  const into = (lines: string[]) =>
    new Warnings(
      (line) => lines.push(line),
      (error) => (redisError('redis://host', error) as Error).message,
    )
  const said: string[] = []
  const warnings = into(said)
  const full = new Error("OOM command not allowed when used memory > 'maxmemory'. script: x")
  for (let i = 0; i < 3; i++) {
    warnings.report(full)
    warnings.report(new Error('could not renew lock for job v7'))
    warnings.report(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
  }
  warnings.stored()
  warnings.stored()
  // Of BullMQ, each as the first error of a lease.
  for (const text of [
    'could not renew lock for job v7',
    'Missing lock for job v7. moveToFinished',
    'Missing key for job v7. moveToFinished',
    'Lock mismatch for job v7. Cmd moveToFinished from active',
    'Job v7 is not in the active state. moveToFinished',
  ]) {
    const lines: string[] = []
    into(lines).report(new Error(text))
    warnings.report(new Error(text))
    expect(lines).toEqual([expect.stringMatching(/^warning: A lease has ended before its job/)])
  }
  warnings.report(new Error('something else'))
  warnings.report(full)
  expect(said.map((text) => text.slice(0, 31))).toEqual([
    'Redis at host:6379 is full (OOM',
    'warning: A lease has ended befo',
    'Redis has room again; results a',
    'warning: something else',
    'Redis at host:6379 is full (OOM',
  ])
})

describe('a job that goes on', () => {
  const answer = (index: number, partial = false) => ({
    ...({ partial } as Parameters<Timeline['add']>[0]),
    top: [{ label: null, index, prob: 0.1 + 0.01 * index }],
  })

  test('has the same timeline, wherever it was cut', () => {
    const answers = [0, 0, 3, 3, 3, 1, 1, 2].map((index, i) => answer(index, i < 2))
    const whole = new Timeline()
    answers.forEach((one, i) => whole.add(one, i / 7))
    for (let cut = 0; cut <= answers.length; cut++) {
      const before = new Timeline()
      answers.slice(0, cut).forEach((one, i) => before.add(one, i / 7))
      const after = new Timeline(JSON.parse(JSON.stringify(before.state)))
      answers.slice(cut).forEach((one, i) => after.add(one, (cut + i) / 7))
      expect(JSON.stringify(after.segments())).toBe(JSON.stringify(whole.segments()))
    }
  })

  test('has the same file of features', async () => {
    const rows = Array.from({ length: 5 }, (_, i) => Float32Array.of(i, i / 3, -i))
    const fileOf = async (cut: number): Promise<Buffer> => {
      const bytes = Buffer.alloc(1000)
      let end = 0
      const output = {
        async write(part: Uint8Array, position = end) {
          bytes.set(part, position)
          end = Math.max(end, position + part.length)
        },
      }
      const before = new NpyWriter([3])
      for (const row of rows.slice(0, cut)) await before.add(output, row)
      expect(end).toBe(before.sizeOf(cut))
      const after = new NpyWriter([3], cut)
      for (const row of rows.slice(cut)) await after.add(output, row)
      await after.end(output)
      return bytes.subarray(0, end)
    }
    const whole = await fileOf(0)
    for (let cut = 1; cut < rows.length; cut++) expect(await fileOf(cut)).toEqual(whole)
  })

  test('has the same clips, after each batch of them', { tags: 'slow' }, async () => {
    await using model = await TRecViT.load(builtin, {
      ...{ device: 'wasm', threads: 1, deterministic: true, config: { framesPerClip: 2 } },
    })
    const frames = { data: noise(12 * 96 * 96 * 3), shape: [12, 96, 96, 3] }
    const kept: (readonly ClipAnswer[])[] = []
    const run = (answers: readonly ClipAnswer[], onAnswers?: ClipOptions['onAnswers']) =>
      classifyClips(sessionsOf(model), frames, {
        ...{ clips: 40, views: 1, answers, ...(onAnswers && { onAnswers }) },
      })
    const whole = await run([], (answers) => kept.push([...answers]))
    expect(kept.length).toBeGreaterThan(1)
    expect(kept.at(-1)!.length).toBe(40)
    for (const answers of kept.slice(0, -1)) {
      let computed = 0
      expect(await run(answers, () => computed++)).toEqual(whole)
      expect(computed).toBe(kept.length - kept.indexOf(answers) - 1)
    }
  })

  test('is kept without stopping it, and less often if it takes long', async () => {
    const kept: unknown[] = []
    const errors: unknown[] = []
    const archive = {
      async save(id: string, fields: Readonly<Record<string, string | Buffer>>) {
        if (kept.length) throw new Error('full')
        kept.push([id, fields])
      },
    }
    const keeper = new Keeper<string>(
      archive,
      'job',
      {},
      {
        pace: new Pace(1000),
        onError: (error) => errors.push(error),
      },
    )
    expect(keeper).toMatchObject({ from: null, isDue: false })
    const saving = keeper.save(7, 'state', sleep(1, Uint8Array.of(1, 2)))
    expect(keeper.isDue).toBe(false)
    await saving
    const [[id, fields]] = kept as [[string, Record<string, Buffer>]]
    expect(id).toBe('job')
    const next = new Keeper<string>(archive, id, { ...fields }, { pace: new Pace(0), onError() {} })
    expect(next.isDue).toBe(true)
    expect(next.from).toEqual({ frames: 7, state: 'state', snapshot: Uint8Array.of(1, 2) })
    await keeper.save(8, 'state', Promise.resolve(new Uint8Array()))
    expect(errors).toEqual([new Error('full')])
  })

  test('jobs that follow a save that took long wait longer before they save', async () => {
    const pace = new Pace(0)
    const archive = { save: () => sleep(60) }
    const open = (id: string) => new Keeper<string>(archive, id, {}, { pace, onError() {} })
    const first = open('first')
    expect(first.isDue).toBe(true)
    await first.save(1, 'state', Promise.resolve(new Uint8Array()))
    expect(pace.pause).toBeGreaterThan(1500)
    expect(open('second').isDue).toBe(false)
    pace.saved(0)
    expect(open('third').isDue).toBe(true)
  })

  test('a save that waited for a Redis that was lost does not end saving', () => {
    const pace = new Pace(1000)
    pace.saved(600_000)
    expect(pace.pause).toBe(300_000)
    for (const cost of [3, 600_000, 600_000]) pace.saved(cost)
    expect(pace.pause).toBe(1000)
  })
})

test('without Redis, nothing of it is loaded', { tags: 'slow' }, async () => {
  const hooks = `export const resolve = (name, context, next) => {
    if (/^(bullmq|ioredis|prom-client)$/.test(name)) throw new Error('not installed')
    return next(name, context)
  }`
  const register = `import { register } from 'node:module'
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)})`
  const options = `--import=data:text/javascript,${encodeURIComponent(register)}`
  const run = (...args: string[]) => outcome(start(args, { NODE_OPTIONS: options }))
  const { code, stderr } = await run('classify', '--frames', '2', '--quiet', '--threads', '1')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const library = new URL('../dist/index.js', import.meta.url).href
  execFileSync(process.execPath, [options, '--input-type=module', '--eval', `import '${library}'`])
  const jobs = await run('jobs', 'status', '--queue', 'redis://127.0.0.1:1')
  expect(jobs.stderr).toBe(
    'trecvit: "jobs" needs packages that are not installed (bullmq, ioredis); ' +
      'run: npm install bullmq@6 ioredis@6\n',
  )
})
