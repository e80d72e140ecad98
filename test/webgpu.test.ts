/**
 * Features of the GPU backend only: limits, packing, submits, timing. Its results are tested with
 * the operations and the goldens.
 */
import { describe, expect, test } from 'vitest'
import type { Backend } from '../src/backend/backend.ts'
import { WebGpuBackend } from '../src/backend/webgpu/webgpu.ts'
import { TrecvitError } from '../src/base/error.ts'
import { configOf } from '../src/model/config.ts'
import { type ProgramOptions, recordModel } from '../src/model/graph.ts'
import { weightTable } from '../src/model/weights.ts'
import { openGpu } from '../src/platform/gpu.ts'
import { environment } from '../src/platform/platform.ts'
import { bytesOf, planSlots } from '../src/program/plan.ts'
import {
  type Buffer,
  inputsOf,
  outputsOf,
  type Program,
  sizeOf,
  statesFor,
  type Weight,
} from '../src/program/program.ts'
import { adapter, openDevice } from './gpu.ts'
import { joined } from './joined.ts'
import { noise, type OpCase, rowsWeight, runOp } from './ops.ts'

if (!adapter)
  console.warn(
    'No WebGPU adapter: nothing is tested on a GPU. Set VK_DRIVER_FILES, ' +
      'or install chromium and libvulkan1.',
  )

test('CI has an adapter', () => {
  if (environment('CI')) expect(adapter).not.toBeNull()
})

if (adapter)
  test('models share the entry point, and each has its own device', { tags: 'gpu' }, async () => {
    const [one, two] = [await openGpu(), await openGpu()]
    if ('reason' in one || 'reason' in two) throw new Error('There is no device')
    expect(two.kept[0]).toBe(one.kept[0])
    one.device.destroy()
    await one.device.lost
    await two.device.queue.onSubmittedWorkDone()
    two.device.destroy()
  })

const config = configOf('mu', { imageSize: [32, 48], numClasses: 11, repSize: 20, useMlp: true })
const window = { frames: 3 }
const options: ProgramOptions = { b: 1, t: 1, pixels: 'u8', recent: 'window', encoded: false }
const weights = weightTable(config)
const frames = 6

describe('slots', () => {
  const program = recordModel(configOf('Ti'), { ...options, t: 2 })
  const { of, bytes } = planSlots(program)

  test('no two buffers that live at the same time share one, and each fits', () => {
    const last = new Map<Buffer, number>()
    program.steps.forEach((step, index) =>
      [...inputsOf(step), ...outputsOf(step)].forEach(({ buffer }) => last.set(buffer, index)),
    )
    Object.values(program.outputs).forEach(({ buffer }) => last.set(buffer, program.steps.length))
    const alive = new Set<Buffer>([program.inputs['pixels']!.buffer])
    program.steps.forEach((step, index) => {
      for (const { buffer } of outputsOf(step)) alive.add(buffer)
      expect(new Set([...alive].map((buffer) => of.get(buffer))).size).toBe(alive.size)
      for (const buffer of alive) if (last.get(buffer)! <= index) alive.delete(buffer)
    })
    for (const [buffer, slot] of of) expect(bytesOf(buffer)).toBeLessThanOrEqual(bytes[slot]!)
  })

  test('are few', () => {
    const all = [...of.keys()].reduce((sum, buffer) => sum + bytesOf(buffer), 0)
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(all / 10)
  })
})

describe.skipIf(!adapter)('on a GPU', { tags: 'gpu' }, async () => {
  const device = adapter ? await openDevice() : undefined!

  /** Opens mu with random weights, and returns one chunk. */
  async function open(
    changes: Partial<ProgramOptions> = {},
    on = device,
  ): Promise<{ backend: Backend; program: Program; pixels: Uint8Array }> {
    const backend = await WebGpuBackend.create(on, weights)
    weights.forEach((weight, index) =>
      backend.write(weight, random(weight, index), 0, weight.columns, 0),
    )
    const program = recordModel(config, { ...options, ...changes })
    return {
      backend,
      program,
      pixels: Uint8Array.from(noise(frames * 32 * 48 * 3, 1), (value) => 128 + 127 * value),
    }
  }
  const random = ({ name, blocks, rows, columns }: Weight, seed: number) =>
    noise(blocks * rows * columns, seed, 0.2).map((value) =>
      name.endsWith('decay') ? -Math.abs(value) : value,
    )

  /** Returns the logits of every frame, computed in chunks of these sizes. */
  async function run(
    chunks: readonly number[],
    features: GPUFeatureName[] = [],
    watched = false,
  ): Promise<number[]> {
    const { backend, program, pixels } = await open(
      {},
      features.length ? await openDevice({ requiredFeatures: features }) : device,
    )
    const state = await backend.createState(program.states, window)
    const all: number[] = []
    let from = 0
    for (const t of chunks) {
      const chunk = recordModel(config, { ...options, t })
      const replay = await backend.prepare(chunk)
      const steps: string[] = []
      const outputs = await replay.run(
        state,
        from,
        {
          pixels: pixels.subarray(
            (from * pixels.length) / frames,
            ((from + t) * pixels.length) / frames,
          ),
        },
        watched
          ? async (step, milliseconds, read) => {
              steps.push(step.name)
              expect(milliseconds).toBeGreaterThanOrEqual(0)
              const [output] = outputsOf(step)
              const values = await read(output!)
              expect(values).toHaveLength(sizeOf(output!.shape))
              expect(values.every(Number.isFinite)).toBe(true)
            }
          : undefined,
      )
      if (watched) expect(steps).toEqual(chunk.steps.map(({ name }) => name))
      all.push(...outputs['logits']!, ...outputs['recent/logits']!)
      replay.dispose()
      from += t
    }
    state.dispose()
    backend.dispose()
    return all
  }

  const singles = [1, 1, 1, 1, 1, 1]

  test('chunks of any size give the same answers', async () => {
    const last = async (chunks: readonly number[]) => (await run(chunks)).slice(-11)
    const want = await last(singles)
    const largest = Math.max(...want.map(Math.abs))
    for (const chunks of [[6], [2, 4], [3, 1, 2], [1, 5]]) {
      const got = await last(chunks)
      got.forEach((value, index) =>
        expect(Math.abs(value - want[index]!)).toBeLessThanOrEqual(1e-4 * largest),
      )
    }
  })

  test('chunks under way at the same time keep their order', async () => {
    const { backend, program, pixels } = await open()
    const want = await run(singles)
    const state = await backend.createState(program.states, window)
    const replay = await backend.prepare(program)
    const results = await Promise.all(
      singles.map((_, frame) =>
        replay.run(state, frame, {
          pixels: pixels.subarray(
            (frame * pixels.length) / frames,
            ((frame + 1) * pixels.length) / frames,
          ),
        }),
      ),
    )
    expect(
      results.flatMap((outputs) => [...outputs['logits']!, ...outputs['recent/logits']!]),
    ).toEqual(want)
    for (const part of [replay, state, backend]) part.dispose()
  })

  test.each([[[]], [['timestamp-query']]] as GPUFeatureName[][][])(
    'tracing each step gives the same answers; features %j',
    { tags: 'slow' },
    async (features) => {
      if (features.every((feature) => adapter!.features.has(feature)))
        expect(await run(singles, features, true)).toEqual(await run(singles))
    },
  )

  test('a state that is read, cleared and written again continues with the same answers', {
    tags: 'slow',
  }, async () => {
    const { backend, program, pixels } = await open()
    const want = await run(singles)
    const state = await backend.createState(program.states, window)
    const replay = await backend.prepare(program)
    const got: number[] = []
    for (const frame of singles.keys()) {
      const outputs = await replay.run(state, frame, {
        pixels: pixels.subarray(
          (frame * pixels.length) / frames,
          ((frame + 1) * pixels.length) / frames,
        ),
      })
      got.push(...outputs['logits']!, ...outputs['recent/logits']!)
      const values = await state.read()
      expect(values.map(({ length }) => length)).toEqual(
        statesFor(program.states, window).map(({ shape }) => sizeOf(shape)),
      )
      await state.clear()
      expect((await state.read()).every((zeros) => zeros.every((value) => value === 0))).toBe(true)
      await state.write(values)
    }
    expect(got).toEqual(want)
    for (const part of [replay, state, backend]) part.dispose()
  })

  test.each([
    [12, 20],
    [10, 7],
  ])(
    'weights may come in pieces of any size and columns: %i and %i columns',
    async (left, right) => {
      const [rows, k, columns] = [5, 6, left + right]
      const kernel = noise(2 * k * columns, 2)
      const bias = noise(2 * columns, 3)
      const op: OpCase = {
        name: '',
        inputs: { x: { shape: [1, 1, rows, 2 * k], values: noise(rows * 2 * k, 1) } },
        weights: {
          kernel: { kind: 'matrix', blocks: 2, rows: k, columns, values: kernel },
          bias: { ...rowsWeight(1, columns, bias), blocks: 2 },
        },
        record: (ops, { x }) => ops.blockLinear('op', x!, 'kernel', 'bias'),
        bound: () => [],
      }
      const want = await runOp((table) => WebGpuBackend.create(device, table), op)
      const got = await runOp(async (table) => {
        const backend = await WebGpuBackend.create(device, table)
        const inPieces: Backend['write'] = (weight, values) => {
          for (const [width, at] of [
            [left, 0],
            [right, left],
          ] as const) {
            const part = (values as Float32Array).filter(
              (_, index) => index % columns >= at && index % columns < at + width,
            )
            for (let first = 0; first < part.length; first += 17)
              WebGpuBackend.prototype.write.call(
                backend,
                weight,
                part.subarray(first, first + 17),
                first,
                width,
                at,
              )
          }
        }
        return Object.assign(backend, { write: inPieces })
      }, op)
      expect(got.output).toEqual(want.output)
    },
  )

  test('sizes beyond the limits are refused before allocation, with the needed size', {
    tags: 'slow',
  }, async () => {
    const huge: Weight = { name: 'huge', kind: 'matrix', blocks: 1, rows: 8192, columns: 8192 }
    await expect(WebGpuBackend.create(device, [huge])).rejects.toThrow(
      'The weights need 269 MB on the GPU, of which "huge" 269 MB in one buffer; ' +
        "this device allows at most 135 MB; use dtype 'f16', which halves them, or a smaller model",
    )
    await expect(WebGpuBackend.create(device, [{ ...huge, rows: 16384 }], 'f16')).rejects.toThrow(
      'at most 135 MB; use a smaller model',
    )
    const { backend } = await open()
    const { prototype } = Object.getPrototypeOf(device).constructor as { prototype: GPUDevice }
    const createBuffer = prototype.createBuffer
    let taken = 0
    let frames = 0
    prototype.createBuffer = function (descriptor) {
      taken++
      return createBuffer.call(this, descriptor)
    }
    try {
      const refused = await backend
        .prepare(recordModel(config, { ...options, b: 200, t: 100 }))
        .catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(TrecvitError)
      expect((refused as Error).message).toMatch(
        joined(
          /^The activations of 20000 frames need \d+ MB on the GPU, /,
          /of which "[^"]+" \d+ MB in one buffer/,
        ),
      )
      frames = Number(/at most (\d+) frames at once/.exec((refused as Error).message)![1])
      await expect(
        backend.prepare(recordModel(config, { ...options, t: frames + 1 })),
      ).rejects.toThrow(`at most ${frames} frames at once`)
      await expect(
        backend.createState(recordModel(config, { ...options, b: 30_000 }).states, window),
      ).rejects.toThrow(/^The state of a stream need/)
      expect(taken).toBe(0)
    } finally {
      prototype.createBuffer = createBuffer
    }
    // The number of frames in the error message does fit.
    ;(await backend.prepare(recordModel(config, { ...options, t: frames }))).dispose()
    backend.dispose()
  })

  test('every buffer is freed', async () => {
    const taken = new Set<GPUBuffer>()
    const counting = new Proxy(device, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (name !== 'createBuffer') return typeof value === 'function' ? value.bind(target) : value
        return (descriptor: GPUBufferDescriptor) => {
          const buffer = target.createBuffer(descriptor)
          taken.add(buffer)
          const destroy = buffer.destroy.bind(buffer)
          buffer.destroy = () => {
            taken.delete(buffer)
            return destroy()
          }
          return buffer
        }
      },
    })
    const { backend, program, pixels } = await open({}, counting)
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states, window)
    await replay.run(state, 0, { pixels: pixels.subarray(0, pixels.length / frames) })
    await replay.run(
      state,
      1,
      { pixels: pixels.subarray(0, pixels.length / frames) },
      async (step, _, read) => void (await read(outputsOf(step)[0]!)),
    )
    await state.read()
    expect(taken.size).toBeGreaterThan(weights.length)
    for (const part of [replay, state, backend]) part.dispose()
    expect([...taken].map(({ label }) => label)).toEqual([])
  })

  test('work that the GPU refuses is an error, never an old result', async () => {
    const { backend, program, pixels } = await open()
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states, window)
    const frame = { pixels: pixels.subarray(0, pixels.length / frames) }
    await replay.run(state, 0, frame)
    state.dispose()
    await expect(replay.run(state, 1, frame)).rejects.toThrow('The GPU refused a submit')
    await expect(state.read()).rejects.toThrow('The GPU refused a submit')
    for (const part of [replay, backend]) part.dispose()
  })

  test('a device that is lost fails what is under way and what comes after', async () => {
    const own = await openDevice()
    const { backend, program, pixels } = await open({}, own)
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states, window)
    const frame = { pixels: pixels.subarray(0, pixels.length / frames) }
    const first = expect(replay.run(state, 0, frame)).rejects.toThrow()
    own.destroy()
    await first
    await expect(replay.run(state, 1, frame)).rejects.toThrow()
    await expect(state.read()).rejects.toThrow()
    for (const part of [replay, state, backend]) part.dispose()
  })

  test('frames are counted in 32 bits', async () => {
    const { backend, program, pixels } = await open()
    const replay = await backend.prepare(program)
    const state = await backend.createState(program.states, window)
    const frame = { pixels: pixels.subarray(0, pixels.length / frames) }
    await replay.run(state, 2 ** 32 - 2, frame)
    await expect(replay.run(state, 2 ** 32 - 1, frame)).rejects.toThrow(
      'A stream on WebGPU expected at most 4294967295 frames since its reset',
    )
    for (const part of [replay, state, backend]) part.dispose()
  })
})
