/** A stream moves to another device while its device is lost, or its model is disposed of. */
import { expect, test } from 'vitest'
import type { Backend, StreamState } from '../src/backend/backend.ts'
import { Engine } from '../src/backend/engine.ts'
import type { Program } from '../src/program/program.ts'
import { Session } from '../src/stream/session.ts'

/** Fake engines that count the states on them. */
class FakeEngines {
  /** States that are not freed. */
  readonly alive = new Set<string>()
  /** Called when a state is written. */
  written = (): void => {}

  /** Returns an engine whose states are empty. */
  engine(kind: 'wasm' | 'webgpu'): Engine {
    let count = 0
    const createState = async (): Promise<StreamState> => {
      const name = `${kind} ${count++}`
      this.alive.add(name)
      return {
        read: async () => [],
        write: async () => this.written(),
        clear: async () => {},
        dispose: () => void this.alive.delete(name),
      }
    }
    const device = { backend: kind, kernels: '', threads: 1, reason: null, gpu: null }
    return new Engine({
      device,
      lossReason: null,
      createState,
      dispose: () => {},
    } as unknown as Backend)
  }
}

const program: Program = {
  b: 1,
  t: 1,
  inputs: {},
  steps: [],
  outputs: {},
  states: [],
}

test('a state whose device is lost during a move is moved again, without a leak', async () => {
  const fake = new FakeEngines()
  const [cpu, other, gpu] = [fake.engine('wasm'), fake.engine('wasm'), fake.engine('webgpu')]
  const engines = {
    current: cpu,
    closed: false,
    get: async () => gpu,
    replace: async () => other,
    warn() {},
  }
  const session = new Session(engines, 1, () => program)
  fake.written = () => cpu.markLost('it died')
  await session.move('webgpu')
  expect(session.engine).toBe(gpu)
  expect([...fake.alive]).toEqual(['webgpu 1'])
  await session.dispose()
  expect([...fake.alive]).toEqual([])
})

test('a state that is moved while the model is disposed of is freed', async () => {
  const fake = new FakeEngines()
  const [cpu, gpu] = [fake.engine('wasm'), fake.engine('webgpu')]
  const engines = {
    current: cpu,
    closed: false,
    warn() {},
    get: async () => gpu,
    replace: () => Promise.reject(new Error('there is no other')),
  }
  const session = new Session(engines, 1, () => program)
  fake.written = () => {
    engines.closed = true
    cpu.markLost('it was disposed of')
  }
  await expect(session.move('webgpu')).rejects.toThrow('The model was disposed of')
  await session.dispose()
  expect([...fake.alive]).toEqual([])
})
