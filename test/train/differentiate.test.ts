/** Gradients of whole models, against the golden data. */
import { afterAll, describe, expect, test } from 'vitest'
import { configOf, encoderOf } from '../../src/model/config.ts'
import { parametersOf, weightTable } from '../../src/model/weights.ts'
import { plan } from '../../src/program/plan.ts'
import { inputsOf, outputsOf, sizeOf } from '../../src/program/program.ts'
import { differentiate } from '../../src/train/differentiate.ts'
import { recordClassifierStep } from '../../src/train/program.ts'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { withAxes } from '../../src/train/views.ts'
import {
  deviceWeights,
  splitWeight,
  trainingWeights,
  writeParameters,
} from '../../src/train/weights.ts'
import { type BackendUnderTest, tagsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { goldenConfig, goldenParameters } from './models.ts'

const models = ['tok', 'gap', 'mlp', 'patch16'] as const
const reports: string[] = []

/** Returns the gradients of the parameters of a golden model, by their official names. */
async function gradientsOf(
  name: (typeof models)[number],
  goldens: Goldens,
  backend: BackendUnderTest,
) {
  const config = goldenConfig(name)
  const c = config.numClasses
  const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
  const device = await backend.create(deviceWeights({ weights, trained: weights.copied }))
  writeParameters(device, [...weights.copied, ...weights.derived], await goldenParameters(name))
  const { shape, values } = goldens.get('video')
  const [b, t] = shape as [number, number]
  const program = recordClassifierStep(
    { config, weights, trained: weights.copied },
    { b, t },
    'pixels',
    'return',
  )
  const replay = await device.prepare(program)
  const state = await device.createState(program.states)
  const targets = new Float32Array(b * c).fill(0.1 / c / b)
  goldens.get('labels').values.forEach((label, video) => {
    targets[video * c + label]! += 0.9 / b
  })
  const outputs = await replay.run(state, 0, { pixels: Uint8Array.from(values), targets })
  for (const part of [state, replay, device]) part.dispose()
  const gradients = new Map(
    parametersOf(config).map((parameter) => [
      parameter.name,
      new Float32Array(sizeOf(parameter.shape)),
    ]),
  )
  for (const weight of weights.copied)
    splitWeight(weight, outputs[`gradients/${weight.name}`]!, gradients)
  return { outputs, gradients }
}

describe.each([...fullTrainingBackends, trainingTeam])('$name', (backend) => {
  test.each(models)(
    'gradients of the golden model "%s"',
    { tags: tagsOf(backend) },
    async (name) => {
      const goldens = await Goldens.open(`grad_model_${name}.npz`)
      const { outputs, gradients } = await gradientsOf(name, goldens, backend)
      goldens.expect('logits', outputs['logits']!)
      goldens.expect('loss', Float32Array.of(outputs['loss']!.reduce((a, b) => a + b)))
      for (const [parameter, values] of gradients) goldens.expect(`grad/${parameter}`, values)
      expect(goldens.unseen).toEqual([])
      reports.push(`${backend.name.padEnd(18)} ${goldens.report()}`)
    },
  )
})

test('blocks that are computed again need a fraction of the memory', { tags: 'slow' }, () => {
  const config = configOf('mu', { numClasses: 4, imageSize: [64, 64], depth: 8 })
  const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
  const bytes = (recompute: 'none' | 'layer') => {
    const training = { config, weights, trained: weights.copied, recompute }
    const program = recordClassifierStep(training, { b: 2, t: 8 }, 'pixels', 'update')
    // Each step reads what an earlier one wrote.
    const written = new Set(Object.values(program.inputs).map(({ buffer }) => buffer))
    for (const step of program.steps) {
      for (const { buffer } of inputsOf(step)) expect(written).toContain(buffer)
      for (const { buffer } of outputsOf(step)) written.add(buffer)
    }
    return plan(program).bytes
  }
  expect(bytes('layer')).toBeLessThan(0.4 * bytes('none'))
})

test('a step that reads the first frame alone is refused', () => {
  const kernel = { name: 'kernel', kind: 'matrix', blocks: 1, rows: 4, columns: 8 } as const
  const ops = new TrainingRecorder(1, 3, new Map([[kernel.name, kernel]]))
  const y = ops.linear('y', ops.input('x', [1, 3, 1, 4]), 'kernel')
  // The frames as tokens: the first token is then the first frame.
  const first = ops.token(withAxes(y, [1, 1, 3]), 0)
  const gradient = ops.input('gradient', first.shape)
  expect(() => differentiate(ops, [{ of: first, gradient }], () => true)).toThrow(
    'The gradient of "y" [1,3,1,8] expected a step that reads all tokens, or the first of each ' +
      'frame, got [1,1,1,8]',
  )
})

afterAll(() => console.log(reports.join('\n')))
