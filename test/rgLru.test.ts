import { afterAll, describe, expect, test } from 'vitest'
import { softplus } from '../src/model/math.ts'
import { type BackendUnderTest, backends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { framesOf, noise, type OpCase, rowsWeight, runOp, testOp, testSplits } from './ops.ts'
import { sigmoid } from './reference.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t: number
  readonly n?: number
  readonly e: number
  readonly heads: number
  readonly v?: Float32Array
  readonly gates?: Float32Array
  readonly y?: Float32Array
  readonly decay?: Float32Array
  /** State before the chunk [b, n, e]; by default a reset. */
  readonly s?: Float32Array
}

function problem({ name = '', b = 1, t, n = 1, e, heads, s, ...given }: Problem): OpCase {
  const size = b * t * n * e
  const {
    v = noise(size, 1, 3),
    gates = noise(2 * size, 2, 5),
    y = noise(size, 3, 2),
    decay = noise(e, 4).map((value) => -4 * Math.abs(value)),
  } = given
  const width = e / heads

  // Errors |s − ŝ| of every frame, and errors of the outputs. sigmoid has 4 units of its
  // exponential, a sum and a quotient. expm1 has the errors of its argument (sigmoid and product)
  // and 5 units of its own: 12. So √(−m·(2 + m)) has 14, and √(..)·γ·v has 22. Exponentials end at
  // the smallest normal number. Each of three products may lose half of the smallest number.
  const errors = ({ unit, smallest }: BackendUnderTest) => {
    const output = new Float64Array(size)
    const state = new Float64Array(b * n * e)
    const tiny = 2 ** -126 + smallest
    for (let unitOfWork = 0; unitOfWork < b * n; unitOfWork++) {
      for (let c = 0; c < e; c++) {
        let h = s?.[unitOfWork * e + c] ?? 0
        let error = 0
        for (let frame = 0; frame < t; frame++) {
          const row = (Math.floor(unitOfWork / n) * t + frame) * n + (unitOfWork % n)
          const gate = row * 2 * e + Math.floor(c / width) * 2 * width + (c % width)
          const value = v[row * e + c]!
          const gated = sigmoid(gates[gate]!) * value
          const logA = decay[c]! * sigmoid(gates[gate + width]!)
          const [a, m] = [Math.exp(logA), Math.expm1(logA)]
          if (!s && frame === 0) {
            h = gated
            error = 7 * unit * Math.abs(h) + Math.abs(value) * tiny + smallest
          } else {
            const fresh = Math.sqrt(-Math.expm1(2 * logA)) * gated
            error =
              a * error +
              (12 * unit * Math.abs(m) + 2 * unit * a) * (Math.abs(h) + error) +
              22 * unit * Math.abs(fresh) +
              (Math.abs(value) + Math.abs(h)) * tiny +
              2 * smallest
            h = a * h + fresh
            error += unit * (Math.abs(h) + error)
          }
          output[row * e + c] =
            Math.abs(y[row * e + c]!) * error + unit * Math.abs(h * y[row * e + c]!) + smallest
        }
        state[unitOfWork * e + c] = error
      }
    }
    return { output, state }
  }
  return {
    name: (
      `${name} ${b}×${t} frames, ${n} tokens, ${e} channels in ${heads} ` +
      `heads${s ? ', with a past' : ''}`
    ).trim(),
    b,
    t,
    inputs: {
      v: { shape: [b, t, n, e], values: v },
      gates: { shape: [b, t, n, 2 * e], values: gates },
      y: { shape: [b, t, n, e], values: y },
    },
    weights: { decay: rowsWeight(1, e, decay) },
    ...(s && { frame: 5, states: [s] }),
    record: (ops, inputs) =>
      ops.rgLru('op', inputs['v']!, inputs['gates']!, inputs['y']!, 'decay', heads),
    bound: (precision) => errors(precision).output,
    boundOfStates: (precision) => [errors(precision).state],
  }
}

testOp('sizes', [
  ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17].map((width) =>
    problem({ t: 3, n: 2, e: 2 * width, heads: 2 }),
  ),
  ...[1, 2, 5, 9].flatMap((t) =>
    [1, 3].map((heads) => problem({ b: 2, t, n: 3, e: 12, heads, s: noise(72, 5, 2) })),
  ),
  problem({ b: 3, t: 4, n: 17, e: 15, heads: 3 }),
])

const one = { t: 6, n: 2, e: 10, heads: 2 }
const constant = (count: number, value: number) => new Float32Array(count).fill(value)
testOp('extreme values', [
  // √(1 − a²) from 1 − exp(..) would lose all digits when a rounds to 1.
  ...[1e-3, 1e-5, 1e-7, 1e-9, 1e-20, 1e-38].map((small) =>
    problem({
      name: `a = 1 − ${small}`,
      ...one,
      decay: noise(10, 4, small).map((value) => -Math.abs(value)),
      s: noise(20, 5),
    }),
  ),
  problem({ name: 'a = 1', ...one, decay: new Float32Array(10), s: noise(20, 5) }),
  problem({ name: 'a = 0', ...one, decay: constant(10, -300), s: noise(20, 5, 100) }),
  problem({
    name: 'a from 1 to 0',
    ...one,
    t: 40,
    decay: Float32Array.of(-1e-4, -1e-2, -0.1, -0.3, -0.34, -0.35, -0.7, -1.1, -20, -100),
    gates: noise(1600, 2, 20),
    v: noise(800, 1),
    y: noise(800, 3),
  }),
  problem({ name: 'closed gates', ...one, gates: constant(240, -200), s: noise(20, 5) }),
  problem({ name: 'open gates', ...one, gates: constant(240, 200), s: noise(20, 5) }),
  problem({ name: 'zeros', ...one, v: new Float32Array(120), s: noise(20, 5) }),
  problem({ name: 'denormals', ...one, v: noise(120, 1, 1e-39), s: noise(20, 5, 1e-39) }),
  problem({ name: 'large', ...one, v: noise(120, 1, 1e30), s: noise(20, 5, 1e30) }),
  problem({
    name: 'NaN stays in its channel',
    ...one,
    v: noise(120, 1).map((value, i) => (i === 23 ? NaN : value)),
  }),
])

testOp(
  'gates over a wide range',
  [1, 15, 100].map((scale) =>
    problem({
      name: `gates up to ±${scale}`,
      t: 1,
      e: 3000,
      heads: 1,
      gates: noise(6000, 2, scale),
      s: noise(3000, 5),
    }),
  ),
)

describe.each(backends)('reset on $name', ({ create }) => {
  test('the first frame does not see the state, not even NaN', async () => {
    const { output } = await runOp(create, problem(one))
    const dirty = await runOp(create, { ...problem(one), states: [constant(20, NaN)] })
    expect(dirty.output).toEqual(output)
  })
})

const [v, gates, y] = [noise(200, 1), noise(400, 2, 3), noise(200, 3)]
testSplits('splits', 5, (from, to) => {
  const frames = (values: Float32Array, columns: number) =>
    framesOf({ shape: [2, 5, 2, columns], values }, from, to).values as Float32Array
  const op = problem({
    b: 2,
    t: to - from,
    n: 2,
    e: 10,
    heads: 2,
    v: frames(v, 10),
    gates: frames(gates, 20),
    y: frames(y, 10),
  })
  return { ...op, frame: from }
})

describe.each(backends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_recurrent.npz')
  const functions = await Goldens.open('ops_activation.npz')

  test.each(
    goldens.names.filter((name) => /^rg_lru.*\/x$/.test(name)).map((name) => name.slice(0, -2)),
  )('%s', async (name) => {
    const [wi, bi, wa, ba, a] = ['wi', 'bi', 'wa', 'ba', 'a_param'].map(
      (part) => goldens.get(`${name}/${part}`).values,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array]
    const [heads, k] = goldens.get(`${name}/wi`).shape as [number, number]
    // Both gates as one product: columns of the input gate, then of the recurrence gate.
    const beside = (one: Float32Array, other: Float32Array) =>
      Float32Array.from(
        { length: 2 * one.length },
        (_, at) => (at % (2 * k) < k ? one : other)[Math.floor(at / (2 * k)) * k + (at % k)]!,
      )
    let s: Float32Array | undefined
    for (const part of ['', '2']) {
      const x = goldens.get(`${name}/x${part}`)
      const [b, t, e] = x.shape as [number, number, number]
      const { output } = await runOp(create, {
        name,
        b,
        t,
        inputs: { x: { shape: [b, t, 1, e], values: x.values } },
        weights: {
          kernel: {
            kind: 'matrix',
            blocks: heads,
            rows: k,
            columns: 2 * k,
            values: beside(wi, wa),
          },
          bias: { kind: 'rows', blocks: heads, rows: 1, columns: 2 * k, values: beside(bi, ba) },
        },
        record: (ops, inputs) => ops.blockLinear('op', inputs['x']!, 'kernel', 'bias'),
        bound: () => [],
      })
      const result = await runOp(
        create,
        problem({
          b,
          t,
          e,
          heads,
          v: x.values,
          gates: output,
          y: constant(x.values.length, 1),
          decay: a.map((value) => -8 * softplus(value)),
          ...(s && { s }),
        }),
      )
      s = result.states[0]!
      goldens.expect(`${name}/y${part}`, result.output)
      goldens.expect(`${name}/h${part}`, s)
    }
  })

  test.each(['grid', 'extreme'])('sigmoid %s', async (name) => {
    const x = functions.get(`${name}/x`).values
    const e = x.length
    const gates = Float32Array.from({ length: 2 * e }, (_, at) => x[at % e]!)
    const { output } = await runOp(
      create,
      problem({ t: 1, e, heads: 1, v: constant(e, 1), y: constant(e, 1), gates }),
    )
    functions.expect(`${name}/sigmoid`, output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.startsWith('rg_lru'))).toEqual([])
    console.log(`${goldens.report()}\n${functions.report()}`)
  })
})
