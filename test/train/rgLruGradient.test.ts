import { afterAll, describe, expect, test } from 'vitest'
import { softplus } from '../../src/model/math.ts'
import type { BackendUnderTest } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { type Input, noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { ReferenceBackend, sigmoid } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'
import { Errors, type Near } from './errors.ts'

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
  readonly dout?: Float32Array
  readonly decay?: Float32Array
  /** Whether the chunk is the first of a clip; false by default. */
  readonly first?: boolean
  /** The state before the chunk, and the gradient of the state after it [b, n, 2, e]. */
  readonly carried?: Float32Array
}

function problem({
  name = '',
  b = 1,
  t,
  n = 1,
  e,
  heads,
  first = false,
  carried,
  v = noise(b * t * n * e, 1, 3),
  gates = noise(2 * b * t * n * e, 2, 5),
  y = noise(b * t * n * e, 3, 2),
  dout = noise(b * t * n * e, 6),
  decay = noise(e, 4).map((value) => -4 * Math.abs(value)),
}: Problem): OpCase {
  const width = e / heads
  const input = (values: Float32Array, columns: number): Input => ({
    shape: [b, t, n, columns],
    values,
  })
  /** Returns the rows of both outputs with their errors, computed like the kernel. */
  function results(backend: BackendUnderTest) {
    const near = new Errors(backend)
    const dinputs = new Float64Array(b * t * n * 4 * e)
    const dcarried = new Float64Array(b * n * 2 * e)
    /** The exponential has 4 units and ends at the smallest normal number. */
    const gate = (x: number): { value: Near; slope: Near } => {
      const z = near.rounded(Math.exp(-Math.abs(x)), 2 ** -126, 4)
      const large = near.divide(near.exact(1), near.add(near.exact(1), z))
      const small = near.multiply(z, large)
      const value = x < 0 ? { ...small, value: sigmoid(x) } : large
      return { value, slope: near.multiply(small, large) }
    }
    /** Computes a by exp, with 4 units, and by expm1, with 5. */
    const decayOf = (rho: Near, c: number) => {
      const logA = near.multiply(rho, near.exact(decay[c]!))
      const m = near.rounded(
        Math.expm1(logA.value),
        Math.exp(logA.value + logA.error) * logA.error + 2 ** -126,
        5,
      )
      const negative = { value: -m.value, error: m.error }
      return {
        a: near.rounded(
          Math.exp(logA.value),
          Math.exp(logA.value + logA.error) * logA.error + 2 ** -126,
          4,
        ),
        kept: near.add(m, near.exact(1)),
        omega: near.multiply(negative, near.add(m, near.exact(2))),
      }
    }
    for (let unit = 0; unit < b * n; unit++) {
      for (let c = 0; c < e; c++) {
        const p = Math.floor(c / width) * 2 * width + (c % width)
        const rows = Array.from(
          { length: t },
          (_, frame) => (Math.floor(unit / n) * t + frame) * n + (unit % n),
        )
        const parts = rows.map((row) => {
          const rho = gate(gates[row * 2 * e + p + width]!)
          const value = near.exact(v[row * e + c]!)
          return { gamma: gate(gates[row * 2 * e + p]!), rho, value, ...decayOf(rho.value, c) }
        })
        const before = near.exact(carried?.[unit * 2 * e + c] ?? 0)
        const states: Near[] = []
        parts.forEach(({ gamma, value, kept, omega }, frame) => {
          const gated = near.multiply(gamma.value, value)
          const s = near.multiply(kept, states[frame - 1] ?? before)
          const isFirst = first && frame === 0
          states.push(isFirst ? gated : near.add(s, near.multiply(near.root(omega), gated)))
        })
        let ds = near.exact(carried?.[unit * 2 * e + e + c] ?? 0)
        let ddecay = near.exact(0)
        for (let frame = t - 1; frame >= 0; frame--) {
          const { gamma, rho, value, a, omega } = parts[frame]!
          const row = rows[frame]!
          const at = row * 4 * e
          const gradient = near.exact(dout[row * e + c]!)
          const delta = near.add(near.multiply(gradient, near.exact(y[row * e + c]!)), ds)
          const isFirst = first && frame === 0
          const through = isFirst ? delta : near.multiply(delta, near.root(omega))
          dinputs[at + 3 * e + c] = near.multiply(gradient, states[frame]!).error
          dinputs[at + 2 * e + c] = near.multiply(through, gamma.value).error
          dinputs[at + p] = near.product(through, value, gamma.slope).error
          if (isFirst) {
            ds = near.exact(0)
            continue
          }
          const bounded = near.root(omega.value > 2.5e-7 ? omega : { ...omega, value: 2.5e-7 })
          const fresher = near.divide(
            near.multiply(near.multiply(gamma.value, value), near.multiply(a, a)),
            bounded,
          )
          const older = near.multiply(states[frame - 1] ?? before, a)
          const dlambda = near.multiply(delta, near.subtract(older, fresher))
          const rate = near.exact(decay[c]!)
          dinputs[at + p + width] = near.product(dlambda, rate, rho.slope).error
          ddecay = near.add(ddecay, near.multiply(dlambda, rho.value))
          ds = near.multiply(a, delta)
        }
        dcarried[unit * 2 * e + c] = ds.error
        dcarried[unit * 2 * e + e + c] = ddecay.error
      }
    }
    return { dinputs, dcarried }
  }
  const chunk = `${first ? ', first of a clip' : ''}${carried ? ', carried' : ''}`
  return {
    name: `${name} ${b}×${t} frames, ${n} tokens, ${e} in ${heads} heads${chunk}`.trim(),
    ...{ b, t },
    inputs: {
      ...{ v: input(v, e), gates: input(gates, 2 * e), y: input(y, e), dout: input(dout, e) },
      ...(carried && { carried: { shape: [b, n, 2 * e], values: carried } }),
    },
    weights: { decay: rowsWeight(1, e, decay) },
    record: (ops, { v, gates, y, dout, carried }) =>
      ops.rgLruGradient('op', v!, gates!, y!, dout!, 'decay', heads, first, {
        ...(carried && { carried }),
      }),
    bound: (precision, _, output) => results(precision)[output as 'dinputs' | 'dcarried'],
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 5, 8, 17].map((width) => problem({ t: 3, n: 2, e: 2 * width, heads: 2 })),
    ...[1, 2, 9].flatMap((t) =>
      [false, true].flatMap((first) => [
        problem({ b: 2, t, n: 3, e: 12, heads: 3, first }),
        problem({ b: 2, t, n: 3, e: 12, heads: 1, first, carried: noise(144, 5, 2) }),
      ]),
    ),
    problem({ b: 3, t: 4, n: 17, e: 15, heads: 3, carried: noise(1530, 5, 2) }),
  ],
  trainingBackends,
  trainingTeam,
)

const one = { t: 5, n: 2, e: 10, heads: 2 }
const constant = (count: number, value: number) => new Float32Array(count).fill(value)
testOp(
  'extreme values',
  [
    ...[1e-3, 1e-5, 1e-7, 1e-9, 1e-20, 1e-38].map((small) =>
      problem({
        name: `a = 1 − ${small}`,
        ...one,
        decay: noise(10, 4, small).map((value) => -Math.abs(value)),
        carried: noise(40, 5),
      }),
    ),
    problem({ name: 'a = 1', ...one, decay: new Float32Array(10), carried: noise(40, 5) }),
    problem({ name: 'a = 0', ...one, decay: constant(10, -300), carried: noise(40, 5, 100) }),
    problem({ name: 'closed gates', ...one, gates: constant(200, -200), carried: noise(40, 5) }),
    problem({ name: 'open gates', ...one, gates: constant(200, 200), carried: noise(40, 5) }),
    problem({ name: 'gates up to ±30', ...one, gates: noise(200, 2, 30), first: true }),
    problem({ name: 'zeros', ...one, v: new Float32Array(100), carried: noise(40, 5) }),
    problem({ name: 'no gradient', ...one, dout: new Float32Array(100) }),
    problem({ name: 'large', ...one, dout: noise(100, 6, 1e30), carried: noise(40, 5) }),
    problem({
      name: 'NaN stays in its channel',
      ...one,
      v: noise(100, 1).map((value, i) => (i === 23 ? NaN : value)),
    }),
  ],
  trainingBackends,
  trainingTeam,
)

testBits(problem({ b: 2, t: 5, n: 9, e: 24, heads: 2, carried: noise(864, 5) }))

describe('the reference', () => {
  /** Returns Σ dout·out + Σ ds·s of the forward pass. */
  async function lossOf(op: OpCase, first: boolean, carried: Float32Array, e: number, h: number) {
    const size = carried.length / 2
    const part = (from: number) =>
      Float32Array.from(
        { length: size },
        (_, at) => carried[Math.floor(at / e) * 2 * e + (at % e) + from]!,
      )
    const { dout, v, gates, y } = op.inputs as Record<string, Input & { values: Float32Array }>
    const { output, states } = await runOp(async (weights) => new ReferenceBackend(weights), {
      ...op,
      inputs: { v: v!, gates: gates!, y: y! },
      frame: first ? 0 : 5,
      states: [part(0)],
      record: (ops, inputs) =>
        ops.rgLru('op', inputs['v']!, inputs['gates']!, inputs['y']!, 'decay', h),
    })
    const dot = (x: Float32Array, z: Float32Array) =>
      x.reduce((sum, value, at) => sum + value * z[at]!, 0)
    return dot(output, dout!.values) + dot(states[0]!, part(e))
  }

  test.each([false, true])('has the slopes of differences, first: %s', async (first) => {
    const [b, t, n, e, heads] = [2, 4, 3, 6, 2]
    const given = {
      ...{ b, t, n, e, heads, first },
      carried: noise(b * n * 2 * e, 5),
      v: noise(b * t * n * e, 1),
      gates: noise(2 * b * t * n * e, 2, 2),
      y: noise(b * t * n * e, 3),
      decay: noise(e, 4).map((value) => -0.5 - Math.abs(value)),
    }
    const { outputs } = await runOp(
      async (weights) => new ReferenceBackend(weights),
      problem(given),
    )
    const { dinputs, dcarried } = outputs as { dinputs: Float32Array; dcarried: Float32Array }
    const columns = (x: Float32Array, row: number, from: number, count: number) =>
      x.filter((_, at) => at % row >= from && at % row < from + count)
    const ddecay = new Float32Array(e)
    columns(dcarried, 2 * e, e, e).forEach((value, at) => (ddecay[at % e]! += value))
    const slopes = {
      gates: columns(dinputs, 4 * e, 0, 2 * e),
      v: columns(dinputs, 4 * e, 2 * e, e),
      y: columns(dinputs, 4 * e, 3 * e, e),
      decay: ddecay,
    }
    const step = 2 ** -6
    for (const [name, slope] of Object.entries(slopes)) {
      const way = noise(slope.length, 9)
      const lossAt = async (size: number) => {
        const moved = given[name as 'v'].map((value, at) => value + size * way[at]!)
        const op = problem({ ...given, [name]: moved })
        return lossOf(op, first, given.carried, e, heads)
      }
      const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step)
      const want = slope.reduce((sum, value, at) => sum + value * way[at]!, 0)
      expect(Math.abs(difference - want), name).toBeLessThan(2e-3 * Math.max(1, Math.abs(want)))
    }
  })
})

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^rgLru\/.*\/v$/.test(name))

  test.each(cases.map((name) => name.slice(0, -2)))('%s', async (name) => {
    const values = (part: string) => goldens.get(`${name}/${part}`).values
    const has = (part: string) => goldens.names.includes(`${name}/${part}`)
    const [b, t, n, e] = goldens.get(`${name}/v`).shape as [number, number, number, number]
    const [x, a, param] = [values('pre_x'), values('pre_a'), values('a_param')]
    const first = !has('h')
    const { outputs } = await runOp(
      create,
      problem({
        ...{ b, t, n, e, heads: 1, first, v: values('v'), dout: values('dy') },
        gates: Float32Array.from(
          { length: 2 * x.length },
          (_, at) => (at % (2 * e) < e ? x : a)[Math.floor(at / (2 * e)) * e + (at % e)]!,
        ),
        y: has('gate') ? values('gate') : constant(x.length, 1),
        decay: param.map((value) => -8 * softplus(value)),
        ...(!first && {
          carried: Float32Array.from({ length: 2 * b * n * e }, (_, at) =>
            at % (2 * e) < e ? values('h')[Math.floor(at / (2 * e)) * e + (at % e)]! : 0,
          ),
        }),
      }),
    )
    const columns = (output: string, row: number, from: number) =>
      outputs[output]!.filter((_, at) => at % row >= from && at % row < from + e)
    goldens.expect(`${name}/dpre_x`, columns('dinputs', 4 * e, 0))
    goldens.expect(`${name}/dpre_a`, columns('dinputs', 4 * e, e))
    goldens.expect(`${name}/dv`, columns('dinputs', 4 * e, 2 * e))
    if (has('gate')) goldens.expect(`${name}/dgate`, columns('dinputs', 4 * e, 3 * e))
    if (!first) goldens.expect(`${name}/dh`, columns('dcarried', 2 * e, 0))
    const sums = new Float64Array(e)
    columns('dcarried', 2 * e, e).forEach((value, at) => (sums[at % e]! += value))
    goldens.expect(
      `${name}/da_param`,
      param.map((value, c) => -8 * sigmoid(value) * sums[c]!),
    )
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^rgLru\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
