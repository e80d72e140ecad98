/** Each operation has the same name in the program, assembly/, gpu/ and test/. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { reference } from '../scripts/reference.ts'
import { fieldsOf } from '../scripts/shaders.ts'
import { STEP } from '../src/backend/wasm/encode.ts'
import { configOf } from '../src/model/config.ts'
import { recordModel } from '../src/model/graph.ts'
import {
  addDescriptions,
  codeOf,
  descriptionOf,
  type FusedOp,
  OPS,
} from '../src/program/describe.ts'
import * as fused from '../src/program/ops/fused.ts'
import { Recorder } from '../src/program/record.ts'
import { TRAINING_OPS } from '../src/train/operations.ts'

const operations = [...OPS]
const FUSED_OPS = (Object.keys(fused) as FusedOp[]).sort()
addDescriptions(fused)
const filesOf = async (folder: string, ending: string) =>
  (await readdir(new URL(folder, import.meta.url)))
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))

test('the list has each operation once, in order, and all operations of models', () => {
  expect(operations).toEqual([...new Set(operations)].sort())
  const used = [configOf('mu'), configOf('mu', { poolType: 'gap', useMlp: true })].flatMap(
    (config) => {
      const { steps } = recordModel(config, {
        b: 1,
        t: 1,
        pixels: 'u8',
        recent: 'window',
        encoded: true,
      })
      return steps.map(({ op }) => op)
    },
  )
  expect(used.length).toBeGreaterThan(0)
  expect(operations).toEqual(expect.arrayContaining(used))
})

test('the page about operations is current', async () => {
  expect(await readFile('docs/operations.md', 'utf8'), 'run "npm run build"').toBe(
    await reference(),
  )
})

test.each([
  ['assembly', '.ts', operations],
  ['gpu', '.wgsl', [...operations, 'quantize'].sort()],
  ['assembly/train', '.ts', TRAINING_OPS],
  ['gpu/train', '.wgsl', TRAINING_OPS],
  ['gpu/fused', '.wgsl', FUSED_OPS],
])('every operation has a kernel of its name in %s, and every kernel is one', async (...args) => {
  const [folder, ending, ops] = args
  const stems = await filesOf(`../${folder}`, ending)
  expect(stems.filter((stem) => stem !== 'index').sort()).toEqual(ops)
})

test.each([
  ['.', operations],
  ['./train', TRAINING_OPS],
])('every operation has a test of its name in %s', async (folder, ops) => {
  const tests = await filesOf(folder, '.test.ts')
  expect(ops.filter((name) => !tests.includes(name))).toEqual([])
})

test.each(FUSED_OPS)('%s fits the parameters of any GPU, and the buffers of most', (op) => {
  const { outputs, inputs, weights, states } = descriptionOf({ op })
  const buffers = [outputs, inputs, weights, states ?? {}, states ? { videos: 1 } : {}]
  expect(buffers.flatMap((part) => Object.keys(part ?? {})).length).toBeLessThanOrEqual(10)
  expect(4 * fieldsOf(op).length).toBeLessThanOrEqual(256)
})

test('inference does not have the operations of training, and their codes follow its own', () => {
  expect(operations.filter((op) => TRAINING_OPS.includes(op))).toEqual([])
  const codes = [...operations, 'quantize' as const, ...TRAINING_OPS].map(codeOf)
  expect(codes).toEqual(codes.map((_, code) => code))
  const ops = new Recorder(1, 1, new Map())
  expect(TRAINING_OPS.filter((op) => op in ops)).toEqual([])
})

test.each([...operations, ...TRAINING_OPS])(
  '%s fits a step of the table, and the parameters and buffers of any GPU',
  (op) => {
    const { inputs, outputs, weights, states, fields, cpu } = descriptionOf({ op })
    const count = (...parts: (object | undefined)[]) =>
      parts.reduce((sum, part) => sum + Object.keys(part ?? {}).length, 0)
    const words = 2 + 2 * count(outputs) + 3 * count(inputs)
    expect(
      4 * (words + count(weights, states, fields, cpu?.pointers, cpu?.fields)),
    ).toBeLessThanOrEqual(STEP)
    expect(4 * fieldsOf(op).length).toBeLessThanOrEqual(256)
    expect(count(outputs, inputs, weights, states) + (states ? 1 : 0)).toBeLessThanOrEqual(8)
  },
)
