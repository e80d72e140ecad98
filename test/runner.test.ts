/** The runner of a stream: jobs that are aborted or fail at unusual times. */
import { expect, test } from 'vitest'
import type { Backend, StreamState } from '../src/backend/backend.ts'
import { Engine, type Kind } from '../src/backend/engine.ts'
import type { Engines } from '../src/backend/engines.ts'
import { TrecvitError } from '../src/base/error.ts'
import { classifyClips } from '../src/model/clips.ts'
import { configOf } from '../src/model/config.ts'
import { Sessions } from '../src/model/sessions.ts'
import { Session } from '../src/stream/session.ts'

const program = { b: 1, t: 1, inputs: {}, steps: [], outputs: {}, states: [] }
const pixels = new Uint8Array(3)

/**
 * Returns an engine on a fake device.
 * @param states results of the next calls of `createState`; later calls succeed
 * @param run result of every chunk
 */
function engineOf(
  kind: Kind,
  states: Promise<StreamState>[] = [],
  run: () => Promise<object> = async () => ({}),
): Engine {
  const state: StreamState = {
    read: async () => [],
    write: async () => {},
    clear: async () => {},
    dispose: () => {},
  }
  const backend = {
    device: { backend: kind, kernels: '', threads: 1, reason: null, gpu: null },
    lossReason: null,
    createState: async () => states.shift() ?? state,
    prepare: async () => ({ run, dispose: () => {} }),
    dispose: () => {},
  } as unknown as Backend
  return new Engine(backend)
}

test('a stream continues after the state of an aborted frame could not be allocated', async () => {
  let refuse = (): void => {}
  const refused = new Promise<StreamState>((_, reject) => {
    refuse = () => reject(new TrecvitError('no memory'))
  })
  const cpu = engineOf('wasm', [refused])
  const engines = {
    current: cpu,
    closed: false,
    get: async () => cpu,
    replace: async () => cpu,
    warn() {},
  }
  const session = new Session(engines, 1, () => program)
  const stop = new AbortController()
  const aborted = session.advance(pixels, 1, { signal: stop.signal })
  stop.abort(new Error('stopped'))
  refuse()
  await expect(aborted).rejects.toThrow('stopped')
  await new Promise((resolve) => setTimeout(resolve, 1))
  await expect(session.advance(pixels, 1)).resolves.toEqual({ first: 0, outputs: {} })
  await session.dispose()
})

test('a stream that was moved stays there after a frame has failed', async () => {
  const failures = [new TrecvitError('no memory')]
  const gpu = engineOf('webgpu')
  const cpu = engineOf('wasm', [], async () => {
    const failure = failures.shift()
    if (failure) throw failure
    return {}
  })
  const engines = {
    current: gpu,
    closed: false,
    get: async () => cpu,
    replace: async () => gpu,
    warn() {},
  }
  const session = new Session(engines, 1, () => program)
  await session.advance(pixels, 1)
  await session.move('wasm')
  await expect(session.advance(pixels, 1)).rejects.toThrow('no memory')
  await expect(session.advance(pixels, 1)).resolves.toEqual({ first: 1, outputs: {} })
  expect(session.engine).toBe(cpu)
  await session.dispose()
})

/** Returns a device whose chunks end when `end` is called, and a list of those under way. */
function endless(kind: Kind) {
  const underWay: (() => void)[] = []
  const run = () => new Promise<object>((resolve) => underWay.push(() => resolve({})))
  const engine = engineOf(kind, [], run)
  const engines = {
    current: engine,
    closed: false,
    get: async () => engine,
    replace: async () => engine,
    warn() {},
  }
  return { session: new Session(engines, 1, () => program), underWay }
}

const turn = () => new Promise((resolve) => setTimeout(resolve))

for (const [kind, most] of [
  ['wasm', 1],
  ['webgpu', 2],
] as const)
  test(`${most} of the frames that come one by one are under way: ${kind}`, async () => {
    const { session, underWay } = endless(kind)
    const answers: number[] = []
    for (let frame = 0; frame < 3; frame++) {
      void session.advance(pixels, 1).then(({ first }) => answers.push(first))
      await turn()
    }
    let issued = 0
    for (let frame = 0; frame < 3; frame++) {
      expect(underWay.length - issued).toBe(Math.min(most, 3 - frame))
      underWay[issued++]!()
      await turn()
      expect(answers).toHaveLength(issued)
    }
    expect(answers).toEqual([0, 1, 2])
    await session.dispose()
  })

/** Returns the largest number of chunks under way while a model on a fake GPU computes. */
async function mostUnderWay(compute: (sessions: Sessions) => Promise<unknown>): Promise<number> {
  const config = configOf('mu', { imageSize: [32, 32], numClasses: 3 })
  const values = new Float32Array(16 * 3)
  let [now, most] = [0, 0]
  const engine = engineOf('webgpu', [], async () => {
    most = Math.max(most, ++now)
    await turn()
    now--
    return { logits: values, probs: values }
  })
  const engines = { current: engine, closed: false } as unknown as Engines
  await compute(new Sessions({}, engines, config, 'f32'))
  return most
}

test('two chunks of a long input are under way on a GPU', async () => {
  const feed = async (sessions: Sessions) => {
    const session = sessions.open({ b: 1, recent: 'all', encoded: false })
    let chunks = 0
    for await (const _ of sessions.feed(session, new Uint8Array(48 * 32 * 32 * 3))) chunks++
    expect(chunks).toBe(3)
    await session.dispose()
  }
  expect(await mostUnderWay(feed)).toBe(2)
  const frame = { data: new Uint8Array(32 * 32 * 3), shape: [32, 32, 3] }
  const frames = Array.from({ length: 48 }, () => frame)
  const classify = (sessions: Sessions) =>
    classifyClips(sessions, frames, { clips: undefined, views: 1 })
  expect(await mostUnderWay(classify)).toBe(2)
})
