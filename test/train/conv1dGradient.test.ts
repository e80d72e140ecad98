import { afterAll, describe, expect, test } from 'vitest'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { Goldens } from '../goldens.ts'
import { gamma, type Input, noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { ReferenceBackend } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t: number
  readonly n?: number
  readonly e: number
  readonly k?: number
  readonly x?: Float32Array
  readonly dy?: Float32Array
  readonly kernel?: Float32Array
  /** The k−1 inputs before the chunk [b, k−1, n, e]. */
  readonly past?: Float32Array
  /** The gradient of the last k−1 inputs [b, k−1, n, e]. */
  readonly dnext?: Float32Array
}

/** Tokens of a partial sum of dkernel. */
const PART = 8

function problem({
  name = '',
  b = 1,
  t,
  n = 1,
  e,
  k = 4,
  past,
  dnext,
  x = noise(b * t * n * e, 1, 3),
  dy = noise(b * t * n * e, 2),
  kernel = noise(k * e, 3, 2),
}: Problem): OpCase {
  const chunk = (values: Float32Array): Input => ({ shape: [b, t, n, e], values })
  const history = (values: Float32Array): Input => ({ shape: [b, k - 1, n, e], values })
  const inputs = {
    ...{ x: chunk(x), dy: chunk(dy) },
    ...(past && { past: history(past) }),
    ...(dnext && { dnext: history(dnext) }),
  }
  const has = `${past ? ', past' : ''}${dnext ? ', next' : ''}`
  return {
    name: `${name} ${b}×${t} frames, ${n} tokens, ${e} channels, ${k} taps${has}`.trim(),
    ...{ b, t, inputs },
    weights: { kernel: rowsWeight(k, e, kernel) },
    record: (ops, { x, dy, past, dnext }) =>
      ops.conv1dGradient('op', x!, dy!, 'kernel', {
        ...(past && { past }),
        ...(dnext && { dnext }),
      }),
    bound(precision, want, output) {
      const sequences = Math.min(PART, b * n)
      const terms = output === 'dkernel' ? sequences * t : k
      const at = (values: Float32Array, place: number) => Math.abs(values[place]!)
      const sums = new Float64Array(want.length)
      for (let sequence = 0; sequence < b * n; sequence++) {
        const [video, token] = [Math.floor(sequence / n), sequence % n]
        for (let s = 1 - k; s < t; s++) {
          const old = ((video * (k - 1) + k - 1 + s) * n + token) * e
          const now = ((video * t + s) * n + token) * e
          const slot = s - t + k - 1
          const next = ((video * (k - 1) + slot) * n + token) * e
          for (let c = 0; c < e; c++) {
            const input = s >= 0 ? at(x, now + c) : past ? at(past, old + c) : 0
            let size = dnext && slot >= 0 ? at(dnext, next + c) : 0
            for (let j = 0; j < k; j++) {
              if (s + j < 0 || s + j >= t) continue
              const gradient = at(dy, ((video * t + s + j) * n + token) * e + c)
              const tap = (k - 1 - j) * e + c
              size += at(kernel, tap) * gradient
              if (output === 'dkernel')
                sums[Math.floor(sequence / PART) * k * e + tap]! += input * gradient
            }
            if (output === (s < 0 ? 'dpast' : 'dx')) sums[(s < 0 ? old : now) + c] = size
          }
        }
      }
      const factor = gamma(terms + 1, precision)
      return sums.map((sum) => sum * factor + 2 * terms * precision.smallest)
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 7, 8, 9, 17].map((e) => problem({ t: 3, n: 2, e })),
    ...[2, 3, 4, 5].flatMap((k) =>
      [1, 2, 3, 6].flatMap((t) => {
        const size = { b: 2, t, n: 3, e: 10, k }
        const [past, dnext] = [noise(60 * (k - 1), 5), noise(60 * (k - 1), 6)]
        return [problem(size), problem({ ...size, past }), problem({ ...size, past, dnext })]
      }),
    ),
    problem({ b: 2, t: 3, n: 13, e: 12, dnext: noise(936, 6) }),
  ],
  trainingBackends,
  trainingTeam,
)

const one = { t: 5, n: 2, e: 10 }
testOp(
  'extreme values',
  [
    problem({ name: 'zeros', ...one, x: new Float32Array(100) }),
    problem({ name: 'denormals', ...one, dy: noise(100, 2, 1e-39) }),
    problem({ name: 'large', ...one, dy: noise(100, 2, 1e30), past: noise(60, 5, 1e5) }),
    problem({
      name: 'NaN of the past',
      ...one,
      past: noise(60, 5).map((value, at) => (at === 24 ? NaN : value)),
    }),
  ],
  trainingBackends,
  trainingTeam,
)

test('a past of another length is refused', () => {
  const kernel = { name: 'kernel', ...rowsWeight(4, 4, noise(16, 3)) }
  const ops = new TrainingRecorder(1, 2, new Map([['kernel', kernel]]))
  const x = ops.input('x', [1, 2, 1, 4])
  const past = ops.input('past', [1, 2, 1, 4])
  expect(() => ops.conv1dGradient('op', x, x, 'kernel', { past })).toThrow(
    'expected a past of 3 frames, got 2',
  )
})

testBits(problem({ b: 2, t: 5, n: 17, e: 24, past: noise(2448, 5), dnext: noise(2448, 6) }))

describe.each(trainingBackends)('conv1dGradient on $name', ({ create }) => {
  test('is the adjoint of conv1d, over two chunks', async () => {
    const [b, t, n, e, k] = [2, 2, 3, 6, 4]
    const taps = noise(k * e, 3)
    const past = noise(b * (k - 1) * n * e, 5)
    const given = { b, t, n, e, k, kernel: taps, past, dnext: noise(past.length, 6) }
    const op = problem(given)
    const { outputs } = await runOp(create, op)
    const forward = await runOp(async (weights) => new ReferenceBackend(weights), {
      ...op,
      inputs: { x: op.inputs['x']! },
      weights: { ...op.weights, bias: rowsWeight(1, e, new Float32Array(e)) },
      states: [past],
      record: (ops, inputs) => ops.conv1d('op', inputs['x']!, 'kernel', 'bias'),
    })
    const dot = (x: ArrayLike<number>, y: Float32Array) =>
      y.reduce((sum, value, at) => sum + value * x[at]!, 0)
    const loss = dot(op.inputs['dy']!.values, forward.output) + dot(given.dnext, forward.states[0]!)
    const [dx, dpast] = [outputs['dx']!, outputs['dpast']!]
    expect(dot(op.inputs['x']!.values, dx) + dot(past, dpast)).toBeCloseTo(loss, 3)
    const dkernel = new Float32Array(k * e)
    outputs['dkernel']!.forEach((value, at) => (dkernel[at % (k * e)]! += value))
    expect(dot(taps, dkernel)).toBeCloseTo(dot(op.inputs['dy']!.values, forward.output), 3)
  })
})

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^conv1d\/.*\/x$/.test(name))

  test.each(cases.map((name) => name.slice(0, -2)))('%s', async (name) => {
    const values = (part: string) => goldens.get(`${name}/${part}`).values
    const has = (part: string) => goldens.names.includes(`${name}/${part}`)
    const [b, t, n, e] = goldens.get(`${name}/x`).shape as [number, number, number, number]
    const kernel = values('w')
    const { outputs } = await runOp(create, {
      ...problem({
        ...{ b, t, n, e, k: kernel.length / e, x: values('x'), dy: values('dy'), kernel },
        ...(has('state') && { past: values('state') }),
        ...(has('dstate_out') && { dnext: values('dstate_out') }),
      }),
    })
    goldens.expect(`${name}/dx`, outputs['dx']!)
    if (has('state')) goldens.expect(`${name}/dstate`, outputs['dpast']!)
    // Sums in float64 replace sumRows, which has its own test.
    const sums = new Float64Array(kernel.length)
    outputs['dkernel']!.forEach((value, at) => (sums[at % kernel.length]! += value))
    goldens.expect(`${name}/dw`, Float32Array.from(sums))
    const bias = await runOp(create, {
      name,
      ...{ b, t },
      inputs: { dy: { shape: [b, t, n, e], values: values('dy') } },
      record: (ops, { dy }) => ops.sumRows('op', dy!),
      bound: () => [],
    })
    goldens.expect(`${name}/db`, bias.output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^conv1d\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
