// @module-tag slow
/** trecvit convert: number formats, labels, and ONNX. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import type { Sink } from '../src/checkpoint/values.ts'
import { writeSafetensors } from '../src/checkpoint/writeSafetensors.ts'
import { TRecViT } from '../src/index.ts'
import { readAll, readTensor } from './checkpointFiles.ts'
import { builtin, file, folder, json, run, tinyNpz, tinyTensors } from './commandLine.ts'
import { joined } from './joined.ts'
import { readOnnx } from './onnxFile.ts'

let model: string

beforeAll(() => {
  model = file('tiny.npz', tinyNpz())
})

afterAll(() => rmSync(folder, { recursive: true }))

describe('convert', () => {
  test('float32 keeps every bit, the labels and the frames per clip', async () => {
    const to = join(folder, 'tiny.safetensors')
    const report = await json([
      'convert',
      model,
      to,
      '--labels',
      file('labels.txt', 'one\ntwo\nthree\n'),
      '--frames-per-clip',
      '9',
    ])
    expect(report).toMatchObject({ dtype: 'f32', tensors: tinyTensors().size })
    const [before, after] = [await readAll(model), await readAll(to)]
    expect(after.size).toBe(before.size)
    for (const [name, { shape, values }] of before)
      expect(after.get(name)).toEqual({ shape, dtype: 'f32', values })
    const converted = await TRecViT.load(to)
    expect(converted.labels).toEqual(['one', 'two', 'three'])
    expect(converted.config.framesPerClip).toBe(9)
    const { fingerprint } = await TRecViT.load(model, { config: { framesPerClip: 9 } })
    expect(converted.fingerprint).toBe(fingerprint)

    // Existing files are not replaced without --force.
    expect(await run('convert', model, to, '--dtype', 'f16')).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^trecvit: .*exists already.*--force.*\n$/),
    })
    expect((await json(['convert', to, to, '--dtype', 'f16', '--force']))['bytes']).toBeLessThan(
      report['bytes'],
    )
    const halves = await TRecViT.load(to)
    expect(halves.labels).toEqual(['one', 'two', 'three'])
    expect(halves.config.framesPerClip).toBe(9)
    rmSync(to)
  })

  test(
    'int8 keeps the numbers with which the model computes, ' +
      'and takes a quarter of the room for them',
    async () => {
      const to = join(folder, 'whole.safetensors')
      await json(['convert', builtin, to, '--dtype', 'int8'])
      const logits = async (source: string, dtype?: 'f32' | 'int8') => {
        await using model = await TRecViT.load(source, { device: 'wasm', ...(dtype && { dtype }) })
        const { data } = (
          await model.stream().push({
            data: Uint8Array.from(
              { length: 96 * 96 * 3 },
              (_, at) => Math.imul(at, 0x9e3779b1) >>> 24,
            ),
            shape: [96, 96, 3],
          })
        ).logits
        return { dtype: model.dtype, data: [...data] }
      }
      const [want, got] = [await logits(builtin, 'int8'), await logits(to)]
      expect(got).toEqual(want)
      // Without int8, the file has the integers times their scales.
      const exact = await logits(to, 'f32')
      exact.data.forEach((value, index) =>
        expect(Math.abs(value - want.data[index]!)).toBeLessThan(
          0.1 * Math.max(...exact.data.map(Math.abs)),
        ),
      )
      expect(exact.data).not.toEqual(want.data)

      const checkpoint = await openCheckpoint(to)
      const name = 'encoder/encoderblock_0/MlpBlock_0/Dense_0/kernel'
      expect(checkpoint.tensors.get(name)).toMatchObject({ dtype: 'i8', shape: [64, 256] })
      expect(checkpoint.tensors.get(`${name}/scale`)).toMatchObject({ dtype: 'f32', shape: [256] })
      expect(checkpoint.tensors.get('tokenizer/embedding/kernel')).toMatchObject({ dtype: 'f32' })
      const gate = 'encoder/residualblock_00/recurrent_block/rg_lru/a_gate/w'
      expect(checkpoint.tensors.get(gate)).toMatchObject({ dtype: 'i8' })
      await checkpoint.close()

      // Before, int8 files had float32 gates. They are quantised while the file is loaded.
      const older = await withFloatGates(to)
      expect(await logits(older)).toEqual(want)
      rmSync(older)
      // Integers without scales are not valid.
      const bytes = readFileSync(to)
      bytes.write('kernel/scali', bytes.indexOf('Dense_0/kernel/scale') + 8)
      expect(await run('inspect', file('broken.safetensors', bytes))).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          joined(
            /has no tensor "encoder\/.*\/kernel\/scale" \[\d+\], /,
            /which its matrix of int8 numbers needs/,
          ),
        ),
      })
      rmSync(to)
    },
  )

  test('.onnx has inputs, outputs, labels, and refuses what it cannot hold', async () => {
    const to = join(folder, 'tiny.onnx')
    const report = await json(['convert', model, to, '--graph', 'clip', '--frames', '2'])
    expect(report).toMatchObject({ dtype: 'f32', graph: 'clip', frames: 2 })
    const bytes = readFileSync(to)
    expect(report['bytes']).toBe(bytes.length)
    const { inputs, outputs } = readOnnx(bytes)
    expect({ inputs, outputs }).toEqual({ inputs: report['inputs'], outputs: report['outputs'] })

    const half = await json(['convert', builtin, to, '--dtype', 'f16', '--force'])
    expect(half).toMatchObject({ dtype: 'f16', graph: 'step', frames: 1 })
    expect(JSON.parse(readOnnx(readFileSync(to)).metadata['labels']!)).toHaveLength(10)
    // From int8, the integers times their scales.
    const coarse = join(folder, 'coarse.safetensors')
    await json(['convert', builtin, coarse, '--dtype', 'int8'])
    await json(['convert', coarse, to, '--force'])
    rmSync(coarse)
    rmSync(to)

    for (const [args, stderr] of [
      [[to, '--dtype', 'int8'], /^trecvit: An \.onnx file expected .*f32 or f16, got int8; .*\n$/],
      [[join(folder, 'a.safetensors'), '--frames', '2'], /^trecvit: --graph and --frames .*\n$/],
      [[join(folder, 'a.bin')], /^trecvit: .*ends in \.safetensors or \.onnx, got ".*a\.bin"\n$/],
    ] as const)
      expect(await run('convert', model, ...args)).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(stderr),
      })
    expect(await run('convert', model, to, '--graph', 'whole')).toMatchObject({ code: 2 })
  })

  test('float16 rounds to the nearest', async () => {
    const to = join(folder, 'half.safetensors')
    await json(['convert', model, to, '--dtype', 'f16'])
    const [before, after] = [await openCheckpoint(model), await openCheckpoint(to)]
    const name = 'decoder/cls_head/kernel'
    expect(after.tensors.get(name)).toMatchObject({ dtype: 'f16', shape: [4, 3] })
    const [want, got] = [await readTensor(before, name), await readTensor(after, name)]
    await Promise.all([before.close(), after.close()])
    got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(2 ** -12))
    rmSync(to)
  })
})

/** Writes an int8 file of the built-in model again, with float32 gates. */
async function withFloatGates(path: string): Promise<string> {
  const isGate = (name: string) => /_gate\/w$/.test(name)
  const [whole, floats] = [await readAll(path), await readAll(builtin)]
  const checkpoint = await openCheckpoint(path)
  await checkpoint.close()
  const tensors = [...whole]
    .filter(([name]) => !/_gate\/w\/scale$/.test(name))
    .map(([name, { shape, dtype, values }]) => ({
      ...{ name, shape, dtype: isGate(name) ? 'f32' : (dtype as 'f32' | 'i8') },
      values: async (sink: Sink) => sink(isGate(name) ? floats.get(name)!.values : values, 0),
    }))
  const parts: Uint8Array[] = []
  await writeSafetensors(tensors, checkpoint.metadata, async (bytes) => {
    parts.push(bytes.slice())
  })
  return file('older.safetensors', Buffer.concat(parts))
}
