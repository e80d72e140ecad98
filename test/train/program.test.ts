/** Training programs: named inputs, steps with several outputs, operations of both kinds. */
import { describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend/backend.ts'
import { listing } from '../../src/program/listing.ts'
import { plan, planSlots } from '../../src/program/plan.ts'
import { outputsOf, type Weight } from '../../src/program/program.ts'
import { openTrainingCpu, openTrainingGpu } from '../../src/train/index.ts'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { tagsOf } from '../backends.ts'
import { adapter, openDevice } from '../gpu.ts'
import { noise } from '../ops.ts'
import { ReferenceBackend } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

const [b, t, n, d] = [2, 3, 40, 8]
const scale: Weight = { name: 'scale', kind: 'rows', blocks: 1, rows: 1, columns: d }

/** Records rmsNorm of all tokens but the first of each frame, and its gradients. */
function record() {
  const ops = new TrainingRecorder(b, t, new Map([[scale.name, scale]]))
  const x = ops.tokens(ops.input('x', [b, t, n, d]), 1, n - 1)
  const dy = ops.input('dy', [b, t, n - 1, d])
  const y = ops.rmsNorm('norm', x, 'scale')
  const { dx, dscale } = ops.rmsNormGradient('gradient', x, dy, 'scale')
  return ops.end({ y, dx, dscale: ops.sumRows('sum', dscale) })
}

test('a step has both outputs, each in a buffer of its own', () => {
  const program = record()
  const [dx, dscale] = outputsOf(program.steps[1]!)
  expect([dx, dscale].map((output) => output!.buffer.name)).toEqual([
    'gradient/dx',
    'gradient/dscale',
  ])
  // 234 rows are four partial sums.
  expect(listing(program)).toContain(
    'gradient  [2,3,39,8] [2,3,39,8] → [2,3,39,8] [4,8]\n   2  sumRows      sum  [4,8] → [1,8]',
  )
  for (const places of [plan(program).offsets, planSlots(program).of])
    expect(places.get(dx!.buffer)).not.toBe(places.get(dscale!.buffer))
})

test('a name of an output is refused if a step has it', () => {
  const ops = new TrainingRecorder(b, t, new Map([[scale.name, scale]]))
  const x = ops.input('x', [b, t, n, d])
  ops.rmsNorm('gradient/dx', x, 'scale')
  expect(() => ops.rmsNormGradient('gradient', x, x, 'scale')).toThrow(
    'rmsNormGradient "gradient" expected no other step named "gradient/dx"',
  )
})

const inputs = { x: noise(b * t * n * d, 1), dy: noise(b * t * (n - 1) * d, 2) }
const values = noise(d, 3)

async function run(create: (weights: readonly Weight[]) => Promise<Backend>) {
  const backend = await create([scale])
  backend.write(scale, values, 0, d, 0)
  const replay = await backend.prepare(record())
  const state = await backend.createState([])
  const traced: Record<string, Float32Array> = {}
  const outputs = await replay.run(state, 0, inputs, async (step, _, read) => {
    for (const output of outputsOf(step)) traced[output.buffer.name] = await read(output)
  })
  expect(await replay.run(state, 0, inputs)).toEqual(outputs)
  for (const part of [replay, state, backend]) part.dispose()
  return { outputs, traced }
}

const reference = async (weights: readonly Weight[]): Promise<Backend> =>
  new ReferenceBackend(weights)

describe.each([...trainingBackends, trainingTeam])('$name', (backend) => {
  test('computes and traces both', { tags: tagsOf(backend) }, async () => {
    const { outputs, traced } = await run(backend.create)
    const { outputs: want } = await run(reference)
    for (const [name, expected] of Object.entries(want))
      expected.forEach((value, at) => expect(outputs[name]![at]).toBeCloseTo(value, 4))
    expect(traced['gradient/dx']).toEqual(outputs['dx'])
    const sums = values.map((_, column) =>
      traced['gradient/dscale']!.reduce(
        (sum, value, at) => sum + (at % d === column ? value : 0),
        0,
      ),
    )
    sums.forEach((sum, column) => expect(sum).toBeCloseTo(want['dscale']![column]!, 4))
  })
})

test('the entry opens the CPU with threads', async () => {
  const { outputs } = await run((weights) => openTrainingCpu(weights, 'simd', { threads: 2 }))
  expect(outputs).toEqual((await run(trainingBackends[0]!.create)).outputs)
})

test.skipIf(!adapter)('the entry opens a GPU', { tags: 'gpu' }, async () => {
  const device = await openDevice()
  const { outputs } = await run((weights) => openTrainingGpu(device, weights))
  const { outputs: want } = await run(reference)
  want['dx']!.forEach((value, at) => expect(outputs['dx']![at]).toBeCloseTo(value, 4))
  device.destroy()
})
