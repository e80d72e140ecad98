import { afterAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend/backend.ts'
import { compile } from '../../src/backend/wasm/builds.ts'
import { BASE } from '../../src/backend/wasm/kernels.ts'
import { openHere } from '../../src/backend/wasm/open.ts'
import { WasmBackend } from '../../src/backend/wasm/wasm.ts'
import type { Program, Tensor, Weight } from '../../src/program/program.ts'
import { trainingBinaries } from '../../src/train/cpu.ts'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { type BackendUnderTest, optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { noise, type OpCase, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'
import { Errors } from './errors.ts'

interface Recipe {
  readonly lr: number
  readonly b1: number
  readonly b2: number
  readonly eps: number
  readonly decay: number
  readonly clip: number
}

/** Returns the input `rates` of update k, counted from 1. */
function ratesOf(k: number, { lr, b1, b2, eps, decay, clip }: Recipe): Float32Array {
  const [c1, c2] = [b1, b2].map((b) => 1 / (1 - Math.fround(b) ** k))
  return Float32Array.of(lr, b1, b2, c1!, c2!, eps, decay, clip)
}

const recipe: Recipe = { lr: 0.1, b1: 0.9, b2: 0.999, eps: 1e-8, decay: 0.3, clip: 1 }

interface Problem {
  readonly name?: string
  readonly kind?: Weight['kind']
  readonly blocks?: number
  /** Frames, if the rows of the gradient are those of frames. */
  readonly t?: number
  readonly k: number
  readonly n: number
  readonly norm?: number
  readonly recipe?: Partial<Recipe>
  readonly gradient?: Float32Array
}

const PARTS = ['value', 'm', 'v'] as const
type Part = (typeof PARTS)[number]

/** Returns a case for the values of a weight after an update. */
function problem(
  part: Part,
  {
    name = '',
    kind = 'matrix',
    blocks = 1,
    t = 1,
    k,
    n,
    norm = 4,
    recipe: given = {},
    gradient = noise(blocks * k * n, 1),
  }: Problem,
): OpCase {
  const count = blocks * k * n
  const before = {
    value: noise(count, 2, 3),
    m: noise(count, 3),
    v: noise(count, 4).map(Math.abs),
  }
  const rates = ratesOf(3, { ...recipe, ...given })
  const weightOf = (of: Part) => ({ kind, blocks, rows: k, columns: n, values: before[of] })
  const shape = t > 1 ? [1, t, (blocks * k) / t, n] : [blocks * k, n]
  return {
    ...{ name: [name, `${part} of ${kind} ${blocks}×${k}×${n}`].filter(Boolean).join(', '), t },
    inputs: {
      gradient: { shape, values: gradient },
      rates: { shape: [1, 8], values: rates },
      norm: { shape: [1, 1], values: Float32Array.of(norm) },
    },
    weights: { value: weightOf('value'), m: weightOf('m'), v: weightOf('v') },
    record(ops, { gradient, rates, norm }) {
      ops.adamW('update', gradient!, rates!, norm!, 'value', 'm', 'v')
      return ops.weightValues('op', part)
    },
    bound(precision) {
      if (!Number.isFinite(norm)) return new Float64Array(count)
      const of = new Errors(precision)
      const [lr, b1, b2, c1, c2, eps, decay, clip] = Array.from(rates, (rate) => of.exact(rate))
      const one = of.exact(1)
      const factor = clip!.value > 0 && norm >= clip!.value ? of.divide(clip!, of.exact(norm)) : one
      return Float64Array.from(gradient, (value, at) => {
        const exact = (from: Part) => of.exact(before[from][at]!)
        const g = of.multiply(of.exact(value), factor)
        const moment = (from: Part, b: typeof one, x: typeof one) =>
          of.add(of.multiply(b, exact(from)), of.multiply(of.subtract(one, b), x))
        const m = moment('m', b1!, g)
        if (part === 'm') return m.error
        const v = moment('v', b2!, of.multiply(g, g))
        if (part === 'v') return v.error
        const divisor = of.add(of.root(of.multiply(c2!, v)), eps!)
        const up = of.add(
          of.multiply(decay!, exact('value')),
          of.divide(of.multiply(c1!, m), divisor),
        )
        return of.subtract(exact('value'), of.multiply(lr!, up)).error
      })
    },
  }
}

const parts = (of: Problem) => PARTS.map((part) => problem(part, of))

testOp(
  'sizes',
  [
    ...[1, 3, 4, 7, 8, 9, 15, 16, 17, 33].flatMap((n) => parts({ k: 3, n })),
    ...[1, 63, 64, 65, 130].flatMap((k) => parts({ k, n: 20 })),
    ...parts({ blocks: 3, k: 5, n: 18 }),
    ...parts({ t: 3, k: 15, n: 18 }),
    ...[1, 4, 7, 8, 9, 70].flatMap((n) => parts({ kind: 'rows', k: 1, n })),
    ...parts({ kind: 'rows', blocks: 2, k: 6, n: 11 }),
    ...parts({ kind: 'rows', t: 3, k: 6, n: 11 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'rates and norms',
  (
    [
      { name: 'norm below clip', norm: 0.999 },
      { name: 'norm equal to clip', norm: 1 },
      { name: 'no clip', recipe: { clip: 0 } },
      { name: 'zero norm', norm: 0, gradient: new Float32Array(54) },
      { name: 'no decay', recipe: { decay: 0 } },
      { name: 'learning rate 0', recipe: { lr: 0 } },
      { name: 'small gradients', norm: 1e-7, gradient: noise(54, 1, 1e-8) },
      { name: 'large gradients', norm: 1e19, gradient: noise(54, 1, 1e18) },
      { name: 'norm NaN', norm: NaN, gradient: noise(54, 1).fill(NaN, 9, 10) },
      { name: 'norm infinite', norm: Infinity, gradient: noise(54, 1, 1e38) },
    ] satisfies Partial<Problem>[]
  ).flatMap((of) =>
    (['matrix', 'rows'] as const).flatMap((kind) => parts({ k: 3, n: 18, kind, ...of })),
  ),
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'output',
  [2.5, 0, NaN, -Infinity].map((norm) => ({
    ...problem('value', { k: 40, n: 18, norm }),
    name: `norm ${norm}`,
    record: (ops, { gradient, rates, norm }) =>
      ops.adamW('op', gradient!, rates!, norm!, 'value', 'm', 'v'),
    bound: () => [0],
  })),
  trainingBackends,
  trainingTeam,
)

for (const part of PARTS) {
  testBits(problem(part, { blocks: 2, k: 70, n: 75 }))
  testBits(problem(part, { kind: 'rows', k: 30, n: 75 }))
}

test.each([
  [['w', 'm', 'w'], 'adamW "op" expected value, m and v to differ'],
  [['w', 'm', 'rows'], 'adamW "op" expected m and v to have the kind of value'],
  [['w', 'm', 'other'], 'adamW "op" expected weight "other" to have shape [1,2,8]'],
])('%s are refused', ([value, m, v], message) => {
  const weight = (name: string, kind: Weight['kind'], columns = 8): Weight => ({
    ...{ name, kind, blocks: 1, rows: 2, columns },
  })
  const weights = [
    ...[weight('w', 'matrix'), weight('m', 'matrix'), weight('rows', 'rows')],
    weight('other', 'matrix', 9),
  ]
  const ops = new TrainingRecorder(1, 1, new Map(weights.map((one) => [one.name, one])))
  const [gradient, rates, norm] = [
    [2, 8],
    [1, 8],
    [1, 1],
  ].map((shape, index) => ops.input(`${index}`, shape)) as [Tensor, Tensor, Tensor]
  expect(() => ops.adamW('op', gradient, rates, norm, value!, m!, v!)).toThrow(message)
})

/** A weight and its moments, and a program that updates them. */
function training(weight: Weight) {
  const all = PARTS.map((part) => ({ ...weight, name: part }))
  const ops = new TrainingRecorder(1, 1, new Map(all.map((one) => [one.name, one])))
  const { blocks, rows, columns } = weight
  const gradient = ops.input('gradient', [blocks * rows, columns])
  const norm = ops.input('norm', [1, 1])
  ops.adamW('update', gradient, ops.input('rates', [1, 8]), norm, 'value', 'm', 'v')
  const update = ops.end(
    Object.fromEntries(PARTS.map((part) => [part, ops.weightValues(part, part)])),
  )
  return { all, update }
}

async function run(backend: Backend, program: Program, inputs: Record<string, Float32Array>) {
  const [replay, state] = [await backend.prepare(program), await backend.createState([])]
  const outputs = await replay.run(state, 0, inputs)
  for (const part of [replay, state]) part.dispose()
  return outputs
}

describe.each([...fullTrainingBackends, trainingTeam])('programs on $name', (backend) => {
  const options = optionsOf(backend)

  test('a program reads the weights that another one has changed', options, async () => {
    const [k, n] = [20, 13]
    const { all, update } = training({
      ...{ name: '', kind: 'matrix', blocks: 1 },
      rows: k,
      columns: n,
    })
    const ops = new TrainingRecorder(1, 1, new Map(all.map((one) => [one.name, one])))
    const product = ops.end({ y: ops.linear('product', ops.input('x', [6, k]), 'value') })
    const x = noise(6 * k, 5)
    const one = await backend.create(all)
    one.write(all[0]!, noise(k * n, 2), 0, n, 0)
    const inputs = {
      gradient: noise(k * n, 1),
      rates: ratesOf(1, recipe),
      norm: Float32Array.of(4),
    }
    const before = await run(one, product, { x })
    const { value } = await run(one, update, inputs)
    const after = await run(one, product, { x })
    one.dispose()
    const other = await backend.create(all)
    other.write(all[0]!, value!, 0, n, 0)
    expect(after).toEqual(await run(other, product, { x }))
    expect(after).not.toEqual(before)
    other.dispose()
  })
})

test.each(['simd', 'wide'] as const)('columns beyond the last stay 0 in %s', async (build) => {
  const [k, n] = [8, 21]
  const { all, update } = training({
    ...{ name: '', kind: 'matrix', blocks: 1 },
    rows: k,
    columns: n,
  })
  const machine = await openHere(build, await compile(build, true, trainingBinaries))
  const backend = await WasmBackend.create(all, machine, build)
  for (const weight of all) backend.write(weight, noise(k * n, 2).map(Math.abs), 0, n, 0)
  const [gradient, rates] = [noise(k * n, 1), ratesOf(1, recipe)]
  const { value } = await run(backend, update, { gradient, rates, norm: Float32Array.of(4) })
  // The weights follow each other from BASE on, each in three panels [8, 8].
  const size = 3 * k * 8
  for (const part of PARTS.keys()) {
    const panels = await machine.memory.read(BASE + 4 * size * part, 3 * k, 8, 8)
    if (!part) expect(panels.subarray(0, 8)).toEqual(value!.subarray(0, 8))
    const last = panels.subarray(2 * k * 8)
    expect(last.some((number, at) => at % 8 < n % 8 && number === 0)).toBe(false)
    expect(last.every((number, at) => at % 8 < n % 8 || number === 0)).toBe(true)
  }
  backend.dispose()
})

/** The runs of the goldens. Names that end in `kernel` or `w` and have two axes are decayed. */
const RUNS: Record<string, Omit<Recipe, 'lr'>> = {
  clip: { b1: 0.9, b2: 0.999, eps: 1e-8, decay: 0.3, clip: 1 },
  no_clip: { b1: 0.9, b2: 0.95, eps: 1e-8, decay: 0.1, clip: 0 },
  tiny: { b1: 0.9, b2: 0.999, eps: 1e-8, decay: 0.2, clip: 1 },
}
const STEPS = 12

describe.each([...fullTrainingBackends, trainingTeam])('goldens on $name', async (backend) => {
  const goldens = await Goldens.open('adamw.npz')
  const options = optionsOf(backend)

  test.each(Object.keys(RUNS))('%s', options, async (run) => {
    const names = goldens.names
      .filter((name) => name.startsWith(`${run}/start/`))
      .map((name) => name.slice(`${run}/start/`.length))
    for (const [name, values] of Object.entries(await valuesOf(backend, goldens, run, names)))
      goldens.expect(`${run}/params/${name}`, values)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.includes('/params/'))).toEqual([])
    console.log(goldens.report())
  })
})

/** Returns the values of parameters after each of the updates, one after another. */
async function valuesOf(
  { create }: BackendUnderTest,
  goldens: Goldens,
  run: string,
  names: readonly string[],
): Promise<Record<string, Float32Array>> {
  const start = (name: string) => goldens.get(`${run}/start/${name}`)
  const isDecayed = (name: string) => /(kernel|w)$/.test(name) && start(name).shape.length > 1
  const weightOf = (name: string, part: Part): Weight => {
    const { shape } = start(name)
    const [columns = 1, rows = 1, blocks = 1] = shape.toReversed()
    const kind = isDecayed(name) ? 'matrix' : 'rows'
    return { name: `${name} ${part}`, kind, blocks, rows, columns }
  }
  const weights = names.flatMap((name) => PARTS.map((part) => weightOf(name, part)))
  const ops = new TrainingRecorder(1, 1, new Map(weights.map((one) => [one.name, one])))
  const [decayed, plain] = ['decayed', 'plain'].map((rates) => ops.input(rates, [1, 8]))
  const norm = ops.input('norm', [1, 1])
  const outputs = Object.fromEntries(
    names.map((name) => {
      const { blocks, rows, columns } = weightOf(name, 'value')
      const gradient = ops.input(name, [blocks * rows, columns])
      const rates = isDecayed(name) ? decayed : plain
      const [value, m, v] = PARTS.map((part) => `${name} ${part}`) as [string, string, string]
      ops.adamW(name, gradient, rates!, norm, value, m, v)
      return [name, ops.weightValues(`${name}/values`, value)]
    }),
  )
  const backend = await create(weights)
  for (const name of names) {
    const weight = weightOf(name, 'value')
    backend.write(weight, start(name).values, 0, weight.columns, 0)
  }
  const replay = await backend.prepare(ops.end(outputs))
  const state = await backend.createState([])
  const found = Object.fromEntries(
    names.map((name) => [name, new Float32Array(STEPS * start(name).values.length)]),
  )
  for (let step = 0; step < STEPS; step++) {
    const of = (name: string) => {
      const { values } = goldens.get(`${run}/${name}`)
      const size = values.length / STEPS
      return values.subarray(step * size, (step + 1) * size)
    }
    const recipe = { ...RUNS[run]!, lr: of('lr')[0]! }
    const values = await replay.run(state, 0, {
      decayed: ratesOf(step + 1, recipe),
      plain: ratesOf(step + 1, { ...recipe, decay: 0 }),
      norm: of('grad_norm'),
      ...Object.fromEntries(names.map((name) => [name, of(`grads/${name}`)])),
    })
    for (const name of names) found[name]!.set(values[name]!, step * values[name]!.length)
  }
  for (const part of [replay, state, backend]) part.dispose()
  return found
}
