/** trecvit stream: one line per frame, averages and snapshots. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TRecViT, type VideoEvent } from '../src/index.ts'
import { decodeSnapshot } from '../src/stream/snapshot.ts'
import {
  file,
  folder,
  rawFrames as frames,
  lines,
  pipe,
  raw,
  run,
  tinyNpz,
  tour,
  y4m,
} from './commandLine.ts'

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

describe('stream', () => {
  test('y4m on standard input is the same file by its path', { tags: 'slow' }, async () => {
    const bytes = y4m(5, 33, 17)
    const piped = await pipe(bytes, 'stream', '-', '--model', model, '--json')
    const opened = await run('stream', file('odd.y4m', bytes), '--model', model, '--json')
    expect(piped).toEqual(opened)
    const answers = lines(piped.stdout).map((line) => JSON.parse(line))
    expect(answers.map(({ frame, time }) => [frame, time])).toEqual([
      [0, 0],
      [1, 0.1],
      [2, 0.2],
      [3, 0.3],
      [4, 0.4],
    ])
    for (const { probs, prob, index, top } of answers) {
      expect(probs.length).toBe(3)
      expect(prob).toBe(Math.max(...probs))
      expect(top[0]).toEqual({ label: null, index, prob })
    }
  })

  test('as text, one aligned line a frame', { tags: 'slow' }, async () => {
    const { code, stdout } = await run('stream', tour, '--average', '8', '--frames', '60')
    expect(code).toBe(0)
    expect(lines(stdout).length).toBe(60)
    // Results are partial until the window is full.
    for (const line of lines(stdout).slice(0, 7)) expect(line).toMatch(/^ {5}\d {6}0\.\d\d s {8}…$/)
    for (const line of lines(stdout).slice(7))
      expect(line).toMatch(/^ {4}[ \d]\d {6}\d\.\d\d s {2}[ \d]{2}\d\.\d % {2}[a-z ]+$/)
    expect(lines(stdout)[59]).toContain('pan right')
  })

  test('averages half a clip by default, and restarts with --reset-every', {
    tags: 'slow',
  }, async () => {
    const read = async (...args: string[]) =>
      lines((await pipe(frames(12), ...raw('--model', model, ...args))).stdout).map((line) =>
        JSON.parse(line),
      )
    const options = ['--frames-per-clip', '6']
    const whole = await read(...options)
    expect(whole).toEqual(await read(...options, '--average', '3'))
    expect(whole.map(({ partial }) => partial)).toEqual([true, true, ...Array(10).fill(false)])
    const parts = await read(...options, '--reset-every', '5')
    expect(parts.map(({ frame, partial }) => [frame, partial])).toEqual(
      whole.map(({ frame }) => [frame, frame % 5 < 2]),
    )
    expect(parts.slice(0, 5)).toEqual(whole.slice(0, 5))
    const rest = await pipe(frames(12).subarray(5 * 1200), ...raw('--model', model, ...options))
    expect(parts[9].probs).toEqual(JSON.parse(lines(rest.stdout)[4]!).probs)
    expect(parts[9].probs).not.toEqual(whole[9].probs)
  })

  test('--events gives the events of the library', { tags: 'slow' }, async () => {
    const options = [
      '--events',
      '--frames',
      '90',
      '--enter',
      '0.6',
      '--leave',
      '0.4',
      '--min-frames',
      '3',
    ]
    const { code, stdout } = await run('stream', tour, ...options, '--deterministic', '--json')
    expect(code).toBe(0)
    await using library = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
    const want: VideoEvent[] = []
    for await (const event of library.stream().events(tour, {
      enter: 0.6,
      leave: 0.4,
      minFrames: 3,
      frames: 90,
    }))
      want.push(event)
    expect(want.length).toBeGreaterThan(4)
    expect(lines(stdout).map((line) => JSON.parse(line))).toEqual(want)
    const text = lines((await run('stream', tour, ...options, '--deterministic')).stdout)
    expect(text.length).toBe(want.length)
    for (const line of text) expect(line).toMatch(/^ +\d+\.\d\d s {2}(enter|leave) .*% {2}[a-z ]+$/)
  })

  test('thresholds of events are refused without --events, or out of range', {
    tags: 'slow',
  }, async () => {
    expect(await run('stream', tour, '--enter', '0.6')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('expected "--events" beside them'),
    })
    expect(await run('stream', tour, '--events', '--leave', '0.7')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"leave" expected a probability above 0, at most 0.5'),
    })
  })

  test.each(['all', '4', 'half:3'])(
    'continues with the same bits after a snapshot, averaging %s',
    { tags: 'slow' },
    async (average) => {
      const all = frames(12)
      const whole = await pipe(all, ...raw('--model', model, '--average', average))
      const state = join(folder, `state ${average.replace(':', '-')}`)
      const first = await pipe(
        all.subarray(0, 5 * 1200),
        ...raw('--model', model, '--average', average, '--snapshot', state),
      )
      const rest = await pipe(all.subarray(5 * 1200), ...raw('--model', model, '--resume', state))
      const facts = ({ stdout }: { stdout: string }) =>
        lines(stdout)
          .map((line) => JSON.parse(line))
          .map(({ frame, probs }) => ({ frame, probs }))
      expect(facts(whole).length).toBe(12)
      expect([...facts(first), ...facts(rest)]).toEqual(facts(whole))
      rmSync(state)
    },
  )

  test.each(['exact', 'f16'])(
    'writes a snapshot in the form %s, and resumes it',
    { tags: 'slow' },
    async (form) => {
      const all = frames(6)
      const whole = await pipe(all, ...raw('--model', model))
      const state = join(folder, form)
      await pipe(
        all.subarray(0, 5 * 1200),
        ...raw('--model', model, '--snapshot', state, '--snapshot-form', form),
      )
      const { header } = decodeSnapshot(readFileSync(state))
      expect(header.states.some(({ dtype }) => dtype === 'f16')).toBe(form === 'f16')
      const { probs } = JSON.parse(
        (await pipe(all.subarray(5 * 1200), ...raw('--model', model, '--resume', state))).stdout,
      )
      const wanted = JSON.parse(lines(whole.stdout)[5]!).probs
      if (form === 'exact') expect(probs).toEqual(wanted)
      else
        wanted.forEach((value: number, index: number) => expect(probs[index]).toBeCloseTo(value, 3))
      rmSync(state)
    },
  )
})
