/** Events of a model: lost devices and warnings. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { type LoadOptions, type ModelEvents, TRecViT, TrecvitError } from '../src/index.ts'
import { decoderUrl, hasWasm, media } from './clips.ts'
import { fragileGpu, watchedWorkers } from './faults.ts'
import { goldenUrl } from './goldens.ts'
import { gpu } from './gpu.ts'

const frame: NdArray = { data: new Uint8Array(64 * 64 * 3), shape: [64, 64, 3] }
const workers = watchedWorkers()
const models: TRecViT[] = []
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose()
})
afterAll(() => workers.restore())

interface Listened {
  readonly model: TRecViT
  readonly devices: ModelEvents['device'][]
  readonly warnings: string[]
  /** Removes both listeners. */
  readonly off: () => void
}

/** Loads a model, and collects its events. */
async function listen(
  options: LoadOptions = { threads: 2 },
  source: string | URL = goldenUrl('small.npz'),
): Promise<Listened> {
  const model = await TRecViT.load(source, { device: 'wasm', ...options })
  models.push(model)
  const devices: ModelEvents['device'][] = []
  const warnings: string[] = []
  const offs = [
    model.on('device', (event) => devices.push(event)),
    model.on('warning', (warning) => warnings.push(warning)),
  ]
  return { model, devices, warnings, off: () => offs.forEach((off) => off()) }
}

async function killThread(): Promise<void> {
  workers.kill('terminated')
  await sleep(5)
}

test('a failed thread is one event for all streams; a removed listener gets none', {
  tags: 'slow',
}, async () => {
  const { model, devices, warnings, off } = await listen()
  const streams = [model.stream(), model.stream()]
  const push = () => Promise.all(streams.map((stream) => stream.push(frame)))
  await push()
  expect(devices).toEqual([])
  await killThread()
  await push()
  const reason: unknown = expect.stringMatching(/^A thread of the CPU backend /)
  expect(devices).toEqual([{ device: model.device, reason }])
  off()
  await killThread()
  await push()
  expect(model.health.losses).toBe(2)
  expect(devices.length).toBe(1)
  expect(warnings).toEqual([])
})

test('a warning tells that no device can be opened', { tags: 'slow' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-events-'))
  const path = join(folder, 'small.npz')
  copyFileSync(goldenUrl('small.npz'), path)
  const { model, devices, warnings } = await listen({ threads: 2 }, path)
  const stream = model.stream()
  await stream.push(frame)
  rmSync(folder, { recursive: true })
  await killThread()
  await expect(stream.push(frame)).rejects.toThrow('small.npz')
  expect(devices).toEqual([])
  expect(warnings).toEqual([
    `No device can be opened (${model.health.failure}); the next frame tries again`,
  ])
})

test.skipIf(!gpu)(
  'the event after a lost GPU names the CPU if no GPU can be opened',
  { tags: ['gpu', 'slow'] },
  async () => {
    const { gpu: entry, loseDevice, refuse } = fragileGpu()
    const { model, devices } = await listen({ device: 'webgpu', gpu: entry })
    const stream = model.stream()
    await stream.push(frame)
    loseDevice()
    refuse(2)
    await stream.push(frame)
    expect(devices).toEqual([
      { device: stream.device, reason: expect.stringContaining('destroyed by the test') },
    ])
    expect(stream.device.backend).toBe('wasm')
  },
)

test('a listener that throws does not stop the stream', { tags: 'slow' }, async () => {
  const { model, devices } = await listen()
  const uncaught: unknown[] = []
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
  model.on('device', () => {
    throw new Error('from a listener')
  })
  model.on('device', (event) => devices.push(event))
  const stream = model.stream()
  await stream.push(frame)
  await killThread()
  expect((await stream.push(frame)).frame).toBe(1)
  await sleep(5)
  process.removeAllListeners('uncaughtException')
  for (const listener of before) process.on('uncaughtException', listener)
  expect(uncaught).toEqual([new Error('from a listener')])
  expect(devices.length).toBe(2)
})

const damage = 'damage of a video is a warning, unless the call has its own onWarning'
test.skipIf(!hasWasm())(damage, { tags: 'slow' }, async () => {
  const { model, warnings } = await listen({ threads: 1 })
  const damaged = new Uint8Array(readFileSync(media('mpeg4.avi')))
  damaged.fill(0x55, 9000, 9400)
  const options = { onError: 'skip', decoder: 'wasm', decoderUrl } as const
  const drain = async (items: AsyncIterable<unknown>) => {
    for await (const _ of items);
  }
  const calls = [
    () => model.classify(damaged, options),
    () => model.classify(damaged, { ...options, clips: 1 }),
    () => model.timeline(damaged, options),
    () => drain(model.stream().run(damaged, options)),
    () => drain(model.stream().events(damaged, options)),
    () => drain(model.featuresOf(damaged, options)),
  ]
  for (const [index, call] of calls.entries()) {
    await call()
    expect(warnings.splice(0), `call ${index}`).toContainEqual(
      expect.stringMatching(/^The video in memory is damaged/),
    )
  }
  const own: string[] = []
  await model.classify(damaged, { ...options, onWarning: (warning) => own.push(warning) })
  expect(own.length).toBeGreaterThan(0)
  expect(warnings).toEqual([])
})

test('wrong arguments are refused', { tags: 'slow' }, async () => {
  const { model } = await listen({ threads: 1 })
  expect(() => model.on('devise' as never, () => {})).toThrow(
    new TrecvitError(`"on" expected 'device' or 'warning', got "devise"`),
  )
  expect(() => model.on('device', 5 as never)).toThrow(
    new TrecvitError('"on" expected a function as listener, got 5'),
  )
})
