import { describe, expect, test } from 'vitest'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { type BackendUnderTest, optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly n: number
  readonly d: number
  readonly x?: Float32Array
  readonly add?: number
}

function problem({ name = '', t = 1, n, d, x = noise(t * n * d, 1), add }: Problem): OpCase {
  const other = add === undefined ? [] : [{ shape: [1, 1], values: Float32Array.of(add) }]
  return {
    name: [name, `${t}×${n}×${d}`, add !== undefined && `and ${add}`].filter(Boolean).join(' '),
    t,
    inputs: { x: { shape: [1, t, n, d], values: x }, ...(other[0] && { add: other[0] }) },
    record: (ops, { x, add }) => ops.norm('op', x!, add && { add }),
    // As rowNorms, with one more square.
    bound: (precision, want) => {
      const sums = gamma(35 + Math.ceil((t * n * d) / 1024), precision) / 2
      return want.map((norm) => norm * (sums + 2 * precision.unit) + n * precision.smallest)
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 7, 8, 9, 63, 64, 65, 1030].map((n) => problem({ n, d: 1 })),
    ...[2, 5, 16, 33].map((d) => problem({ n: 5, d, add: 2 })),
    problem({ t: 3, n: 25, d: 1, add: -0.5 }),
    problem({ t: 3, n: 5, d: 6 }),
    problem({ n: 30000, d: 1 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ name: 'zeros', n: 3, d: 1, x: new Float32Array(3) }),
    problem({ name: 'zeros', n: 3, d: 1, x: new Float32Array(3), add: 3 }),
    ...[1e-39, 1e-30, 1e-20, 1e12, 1e20, 1e37].map((scale) =>
      problem({ name: `around ${scale}`, n: 70, d: 1, x: noise(70, 1, scale), add: scale }),
    ),
    problem({ name: 'large', n: 3, d: 1, add: 1e38 }),
    problem({ name: 'NaN', n: 70, d: 1, x: noise(70, 1).fill(NaN, 66, 67) }),
    problem({ n: 70, d: 1, add: NaN }),
    problem({ n: 70, d: 1, x: noise(70, 1).fill(Infinity, 66, 67), add: 1 }),
    problem({ n: 70, d: 1, x: noise(70, 1).fill(Infinity, 66, 67), add: NaN }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem({ n: 1000, d: 3, add: 2 }))

/** Returns the norm of all gradients of an update, as a training program computes it. */
async function normOf({ create }: BackendUnderTest, gradients: readonly Float32Array[], rows = 1) {
  const ops = new TrainingRecorder(1, 1, new Map())
  const names = gradients.map((_, index) => `gradient ${index}`)
  const norm = gradients
    .map((values, index) => ops.input(names[index]!, [rows, values.length / rows]))
    .reduce(
      (add, x, index) => ops.norm(`norm ${index}`, ops.rowNorms(`rows ${index}`, x), { add }),
      ops.input('zero', [1, 1]),
    )
  const backend = await create([])
  const [replay, state] = [await backend.prepare(ops.end({ norm })), await backend.createState([])]
  const inputs = Object.fromEntries(names.map((name, index) => [name, gradients[index]!]))
  const outputs = await replay.run(state, 0, { ...inputs, zero: Float32Array.of(0) })
  for (const part of [replay, state, backend]) part.dispose()
  return outputs['norm']![0]!
}

describe.each([...trainingBackends, trainingTeam])('many gradients on $name', (backend) => {
  const options = optionsOf(backend)

  test.each(['clip', 'no_clip', 'tiny'])('golden %s', options, async (run) => {
    const goldens = await Goldens.open('adamw.npz')
    const names = goldens.names.filter((name) => name.startsWith(`${run}/grads/`))
    const steps = goldens.get(`${run}/grad_norm`).values.length
    const norms = new Float32Array(steps)
    for (let step = 0; step < steps; step++) {
      const gradients = names.map((name) => {
        const { values } = goldens.get(name)
        const size = values.length / steps
        return values.subarray(step * size, (step + 1) * size)
      })
      norms[step] = await normOf(backend, gradients)
    }
    goldens.expect(`${run}/grad_norm`, norms)
  })

  test('is within 1e-6 of float64', options, async () => {
    const gradients = [3e19, 1e-3, 5e19].map((scale, seed) => noise(3 * 3072, seed, scale))
    const want = Math.sqrt(
      gradients.flatMap((part) => [...part]).reduce((sum, x) => sum + x * x, 0),
    )
    expect(Math.abs((await normOf(backend, gradients, 3)) / want - 1)).toBeLessThan(1e-6)
  })
})
