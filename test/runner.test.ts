/** The runner of a stream: jobs that are aborted or fail at unusual times. */
import { expect, test } from 'vitest'
import type { Backend, StreamState } from '../src/backend/backend.ts'
import { Engine, type Kind } from '../src/backend/engine.ts'
import { TrecvitError } from '../src/base/error.ts'
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
