/** trecvit stream: one line per frame, averages and snapshots. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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
  test('y4m on standard input is the same file by its path', async () => {
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

  test('stands for half a clip by default, and begins anew with --reset-every', async () => {
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

  test.each(['all', '4', 'half:3'])(
    'goes on bit by bit after a snapshot, averaging %s',
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
    'writes a snapshot in the form %s, and goes on from it',
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
