/** Sleep before a GPU result is polled: first with a simulated clock, then with that of Node. */
import { performance } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { Pace } from '../src/backend/webgpu/pace.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import { weightTable } from '../src/model/weights.ts'
import { openDevice } from './gpu.ts'

/** Delay of a timer in milliseconds. */
const LATE = 0.7

/**
 * Simulates a GPU with these durations of submits, several of which are under way at once.
 * @returns for each submit how late its result was noticed, and the share of the time that was
 * slept while waiting for it alone
 */
function simulate(costs: readonly number[], under: number): { late: number; slept: number }[] {
  const pace = new Pace()
  const flying: { began: number; ends: number; wakes: number; from: number }[] = []
  const seen: { late: number; slept: number }[] = []
  let [now, free] = [0, 0]
  for (const cost of costs) {
    const nap = pace.begin(now)
    flying.push({
      began: now,
      from: Math.max(now, free),
      ends: (free = Math.max(now, free) + cost),
      wakes: now + (nap && nap + LATE),
    })
    if (flying.length < under) continue
    const { began, from, ends, wakes } = flying.shift()!
    now = Math.max(ends, wakes)
    pace.end(began, now)
    seen.push({
      late: now - ends,
      slept: Math.max(0, Math.min(wakes, ends) - from) / (ends - from),
    })
  }
  return seen
}

const constant = (count: number, cost: number) => Array.from({ length: count }, () => cost)

for (const under of [1, 2, 3]) {
  test(
    'what takes as long as ever is slept through for the most part, and seen in time; ' +
      `${under} under way`,
    () => {
      for (const cost of [3.1, 30]) {
        const seen = simulate(constant(100, cost), under)
        expect(Math.max(...seen.map(({ late }) => late))).toBeLessThan(0.2)
        for (const { slept } of seen.slice(20)) expect(slept).toBeGreaterThan(0.6)
      }
    },
  )

  test(`a speed-up is noticed, a slow-down is never late; ${under} under way`, () => {
    const faster = simulate([...constant(20, 18), ...constant(60, 3.1)], under)
    expect(Math.max(...faster.slice(50).map(({ late }) => late))).toBeLessThan(0.2)
    const slower = simulate([...constant(20, 3.1), ...constant(60, 18)], under)
    expect(Math.max(...slower.map(({ late }) => late))).toBeLessThan(0.2)
    for (const { slept } of slower.slice(50)) expect(slept).toBeGreaterThan(0.6)
  })
}

// Without a pace, all of the time is spent polling.
test('the event loop is idle while a GPU computes', { tags: 'slow' }, async () => {
  const config = configOf('mu', { imageSize: [384, 384] })
  const device = await openDevice()
  const backend = await WebGpuBackend.create(device, weightTable(config))
  const program = recordModel(config, { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false })
  const replay = await backend.prepare(program)
  const state = await backend.createState(program.states)
  const pixels = new Uint8Array(384 * 384 * 3)
  for (let frame = 0; frame < 10; frame++) await replay.run(state, frame, { pixels })
  const before = performance.eventLoopUtilization()
  for (let frame = 10; frame < 30; frame++) await replay.run(state, frame, { pixels })
  expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.9)
  backend.dispose()
  device.destroy()
})
