/** The runner of a stream whose only job is aborted at a bad moment. */
import { expect, test } from 'vitest'
import type { Backend, StreamState } from '../src/backend/backend.ts'
import { Engine } from '../src/backend/engine.ts'
import { TrecvitError } from '../src/base/error.ts'
import { Session } from '../src/stream/session.ts'

const program = { b: 1, t: 1, inputs: {}, steps: [], outputs: {}, states: [] }
const pixels = new Uint8Array(3)

/** An engine whose next state is created, or refused, when the test says so. */
function engine(): { engine: Engine; refuse(): void } {
  let refuse = (): void => {}
  const state: StreamState = {
    read: async () => [],
    write: async () => {},
    clear: async () => {},
    dispose: () => {},
  }
  const first = new Promise<StreamState>((_, reject) => {
    refuse = () => reject(new TrecvitError('no memory'))
  })
  const states = [first]
  const backend = {
    device: { backend: 'wasm', kernels: '', threads: 1, reason: null, gpu: null },
    failure: null,
    createState: async () => states.pop() ?? state,
    prepare: async () => ({ run: async () => ({}), dispose: () => {} }),
    dispose: () => {},
  } as unknown as Backend
  return { engine: new Engine(backend), refuse }
}

test('a stream goes on after its state was refused to a frame that was aborted', async () => {
  const { engine: cpu, refuse } = engine()
  const engines = { current: cpu, closed: false, get: async () => cpu, replace: async () => cpu }
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
