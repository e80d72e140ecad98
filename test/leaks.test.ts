// @module-tag slow
/**
 * A thousand models on one device, one after another: all buffers are freed. Uses Dawn's null
 * backend, which is fast because it does not compute.
 */

import { expect, test } from 'vitest'
import { create } from 'webgpu'
import { Engine } from '../src/backend/engine.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { checkpointBytes, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import { loadWeights } from '../src/model/load.ts'
import { weightTable } from '../src/model/weights.ts'
import { Session } from '../src/stream/session.ts'

test('1,000 rounds of loading, running and disposing leave no buffer behind', {
  timeout: 300_000,
}, async () => {
  const entry = create(['backend=null'])
  const device = await (await entry.requestAdapter())!.requestDevice()
  const alive = new Map<GPUBuffer, string>()
  let taken = 0
  const createBuffer = device.createBuffer.bind(device)
  device.createBuffer = (wanted) => {
    const buffer = createBuffer(wanted)
    const destroy = buffer.destroy.bind(buffer)
    alive.set(buffer, buffer.label)
    taken++
    buffer.destroy = () => {
      alive.delete(buffer)
      return destroy()
    }
    return buffer
  }
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 5 })
  const bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const pixels = new Uint8Array(2 * 32 * 32 * 3)
  const none = () => Promise.reject(new Error('There is no other backend in this test'))
  for (let round = 0; round < 1000; round++) {
    const checkpoint = await openCheckpoint(bytes)
    const backend = await WebGpuBackend.create(
      device,
      weightTable(config),
      round % 2 ? 'f16' : 'f32',
    )
    await loadWeights(checkpoint, config, backend)
    await checkpoint.close()
    const engine = new Engine(backend)
    const programs = [1, 2].map((t) =>
      recordModel(config, { b: 1, t, pixels: 'u8', recent: 'all', encoded: false }),
    )
    const session = new Session(
      { current: engine, closed: false, get: none, replace: none, warn() {} },
      1,
      (t) => programs[t - 1]!,
    )
    await Promise.all([
      session.advance(pixels, 2),
      session.advance(pixels.subarray(pixels.length / 2), 1),
    ])
    await session.read()
    await session.reset()
    await session.dispose()
    await engine.dispose()
    expect([...alive.values()], `buffers after round ${round}`).toEqual([])
  }
  expect(taken).toBeGreaterThan(50_000)
  expect(entry).toBeDefined()
})
