/**
 * Events of streams and models as commands of fast-check, which generates, shrinks and replays
 * them.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { vi } from 'vitest'
import type { Average } from '../../src/index.ts'
import { crashes } from '../faults.ts'
import { type Follower, frameOf, isOwnError, MOST_STREAMS, type World } from './world.ts'

/**
 * The expected results come from an undisturbed stream (world.ts), so the fast-check model is
 * empty.
 */
type Model = Record<string, never>
type Act = (world: World, pick: number) => void | Promise<void>

/** Number of executed commands by name. */
export const counts = new Map<string, number>()

const averages: readonly Average[] = ['all', { frames: 3 }, { halfLife: 2 }, { frames: 7 }]

function command(name: string, act: Act): fc.Arbitrary<fc.AsyncCommand<Model, World>> {
  return fc.nat(1 << 16).map((pick) => ({
    check: () => true,
    async run(_: Model, world: World) {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      await act(world, pick)
      world.check()
    },
    toString: () => `${name}(${pick})`,
  }))
}

/** Returns a command for one of the streams, if there is one. */
const onStream =
  (act: (follower: Follower, pick: number, world: World) => void | Promise<void>): Act =>
  (world, pick) => {
    const { followers } = world
    if (followers.length) return act(followers[pick % followers.length]!, pick >> 3, world)
  }

const push = onStream((follower, pick) => {
  for (let index = pick; index <= pick + (pick % 3); index++) {
    follower.pushed(index, follower.stream.push(frameOf(index, follower.b)), isOwnError)
  }
})

const pushAborted = onStream(async (follower, pick) => {
  const stop = new AbortController()
  const reason = new Error('aborted by the test')
  const answer = follower.stream.push(frameOf(pick, follower.b), { signal: stop.signal })
  follower.pushed(pick, answer, (error) => error === reason || isOwnError(error))
  if (pick % 2) await sleep(pick % 5)
  stop.abort(reason)
})

const snapshot = onStream((follower, _, world) =>
  follower.saved(follower.stream.snapshot(), (saved) => {
    world.snapshots = [saved, ...world.snapshots].slice(0, 4)
  }),
)

const move = onStream((follower, pick) => {
  const to = pick % 2 ? 'webgpu' : 'wasm'
  if (to === 'webgpu' && follower.home.hasGpu) follower.exact = false
  follower.moved(follower.stream.moveTo(to))
})

const dispose = onStream(async (follower, pick, world) => {
  world.followers = world.followers.filter((one) => one !== follower)
  const ending = follower.dispose()
  // A call during the end of the stream, and one after it.
  await refused(follower.stream.push(frameOf(pick, follower.b)))
  await ending
  await refused(follower.stream.snapshot())
})

/** Does not use `expect`, which keeps all errors in memory until its test ends. */
async function refused(call: Promise<unknown>): Promise<void> {
  const error = await call.then(
    () => new Error('a stream answered after its end'),
    (why: unknown) => why,
  )
  if (!isOwnError(error)) throw error
}

const kill: Act = async ({ workers }, pick) => {
  const crash = crashes[pick % crashes.length]!
  workers.kill(crash, (pick >> 2) % 4)
  if (crash !== 'silent') return
  await sleep(1)
  vi.advanceTimersByTime(70_000)
}

const loseTwice: Act = async ({ gpu }, pick) => {
  gpu?.loseDevice()
  for (let turns = pick % 200; turns > 0; turns--) await Promise.resolve()
  if (pick % 3) await sleep(pick % 30)
  gpu?.loseDevice()
}

/** Commands with their frequencies. */
export const commands: fc.Arbitrary<Iterable<fc.AsyncCommand<Model, World>>> = fc.commands(
  [
    ...Array.from({ length: 6 }, () => command('push', push)),
    command('push and abort', pushAborted),
    command(
      'trace',
      onStream((follower, pick) =>
        follower.traced(pick, follower.stream.trace(frameOf(pick, follower.b))),
      ),
    ),
    command(
      'reset',
      onStream((follower) => follower.reset(follower.stream.reset())),
    ),
    command('snapshot', snapshot),
    command('resume', (world, pick) => {
      const saved = world.snapshots[pick % 4]
      if (saved && world.followers.length < MOST_STREAMS)
        return world.resume((pick >> 2) % 2, saved)
      return undefined
    }),
    command('move', move),
    command('open', (world, pick) => {
      if (world.followers.length < MOST_STREAMS)
        world.open(pick % 2, 1 + ((pick >> 1) % 2), averages[(pick >> 2) % averages.length]!)
    }),
    command('open', (world, pick) => {
      if (world.followers.length < MOST_STREAMS) world.open(pick % 2, 1, 'all')
    }),
    command('dispose of a stream', dispose),
    command('dispose of a model', (world, pick) =>
      pick % 4 ? undefined : world.replace((pick >> 2) % 2),
    ),
    command('kill a worker', kill),
    command('lose the device', ({ gpu }) => gpu?.loseDevice()),
    command('lose the device twice', loseTwice),
    command('refuse devices', ({ gpu }, pick) => gpu?.refuse(pick % 3)),
    command('refuse memory', (world, pick) => {
      world.refusals = pick % 2
    }),
    command('wait', (_, pick) => sleep(pick % 10)),
    command('settle', (world) => world.settle()),
  ],
  { maxCommands: 100, size: 'max' },
) as fc.Arbitrary<Iterable<fc.AsyncCommand<Model, World>>>
