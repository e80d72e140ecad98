/**
 * Gradients of linear and blockLinear, from the gradient of the result to those of all arguments.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { compile } from '../../src/backend/wasm/builds.ts'
import { ThreadPool } from '../../src/backend/wasm/threadPool.ts'
import { WasmBackend } from '../../src/backend/wasm/wasm.ts'
import type { Tensor, Weight } from '../../src/program/program.ts'
import { trainingBinaries } from '../../src/train/cpu.ts'
import type { TrainingRecorder } from '../../src/train/recorder.ts'
import { optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { expectSame, type OpCase, rowsWeight, runOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { inputGradient, kernelGradient } from './products.ts'

describe.each([...trainingBackends, trainingTeam])('goldens on $name', async (backend) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const options = optionsOf(backend)
  const casesOf = (op: string) =>
    goldens.names
      .filter((name) => name.startsWith(`${op}/`) && name.endsWith('/x'))
      .map((name) => name.slice(0, -2))

  /** Runs one operation on arrays [rows, columns]. */
  const run = async (
    record: (ops: TrainingRecorder, inputs: Record<string, Tensor>) => Tensor | object,
    inputs: Record<string, { readonly values: Float32Array; readonly columns: number }>,
    weights: OpCase['weights'] = {},
  ) =>
    (
      await runOp(backend.create, {
        name: '',
        inputs: Object.fromEntries(
          Object.entries(inputs).map(([name, { values, columns }]) => [
            name,
            { shape: [1, 1, values.length / columns, columns], values },
          ]),
        ),
        weights,
        record: record as OpCase['record'],
        bound: (_, want) => want,
      })
    ).outputs

  const sum = async (values: Float32Array, columns: number) =>
    (await run((ops, { x }) => ops.sumRows('op', x!), { x: { values, columns } }))['out']!

  test.each(casesOf('linear'))('%s', options, async (name) => {
    const get = (part: string) => goldens.get(`${name}/${part}`)
    const [k, n] = get('kernel').shape as [number, number]
    const [x, kernel, dy] = ['x', 'kernel', 'dy'].map((part) => get(part).values)
    const rows = x!.length / k
    const end = name.split('/')[1]!
    const activation = end.startsWith('gelu') ? 'gelu' : end === 'tanh' ? 'tanh' : 'none'
    const of = (values: Float32Array) => ({ values, columns: n })
    const { out: at } = await run(
      (ops, { x }) =>
        ops.linear('op', x!, 'kernel', {
          bias: 'bias',
          activation: activation === 'tanh' ? 'tanh' : 'none',
        }),
      { x: { values: x!, columns: k } },
      {
        kernel: { kind: 'matrix', blocks: 1, rows: k, columns: n, values: kernel! },
        bias: rowsWeight(1, n, get('bias').values),
      },
    )
    let dz = dy!
    if (end.endsWith('gate')) {
      const gradients = await run(
        (ops, { dy, at, gate }) => ops.linearGateGradient('op', dy!, at!, gate!, activation),
        { dy: of(dy!), at: of(at!), gate: of(get('gate').values) },
      )
      goldens.expect(`${name}/dgate`, gradients['dmultiply']!)
      dz = gradients['dz']!
    } else if (activation !== 'none')
      dz = (
        await run((ops, { dy, at }) => ops.linearActivationGradient('op', dy!, at!, activation), {
          dy: of(dy!),
          at: of(at!),
        })
      )['dz']!
    if (end === 'residual') goldens.expect(`${name}/dresidual`, dz)
    const { dx } = (
      await runOp(backend.create, inputGradient({ rows, k, n, dy: dz, kernel: kernel! }))
    ).outputs
    const { dkernel } = (await runOp(backend.create, kernelGradient({ rows, k, n, x: x!, dy: dz })))
      .outputs
    goldens.expect(`${name}/dx`, dx!)
    goldens.expect(`${name}/dkernel`, dkernel!)
    goldens.expect(`${name}/dbias`, await sum(dz, n))
  })

  test.each(casesOf('blockLinear'))('%s', options, async (name) => {
    const [x, w, dy] = ['x', 'w', 'dy'].map((part) => goldens.get(`${name}/${part}`).values)
    const [blocks, k, n] = goldens.get(`${name}/w`).shape as [number, number, number]
    const size = { rows: dy!.length / (blocks * n), blocks, k, n }
    const { dx } = (await runOp(backend.create, inputGradient({ ...size, dy: dy!, kernel: w! })))
      .outputs
    const { dkernel } = (await runOp(backend.create, kernelGradient({ ...size, x: x!, dy: dy! })))
      .outputs
    goldens.expect(`${name}/dx`, dx!)
    goldens.expect(`${name}/dw`, dkernel!)
    goldens.expect(`${name}/db`, await sum(dy!, blocks * n))
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^(linear|blockLinear)\/.*\/d\w+$/.test(name))).toEqual(
      [],
    )
    console.log(goldens.report())
  })
})

describe('bits', () => {
  const cases = [
    inputGradient({ b: 2, t: 2, rows: 104, k: 35, n: 800, add: true }),
    inputGradient({ rows: 204, blocks: 3, k: 18, n: 36 }),
    kernelGradient({ b: 2, t: 2, rows: 135, k: 200, n: 70 }),
    kernelGradient({ rows: 204, blocks: 3, k: 18, n: 36 }),
  ]
  const [simd, ...others] = [...trainingBackends, trainingTeam].filter(({ name }) =>
    /^wasm($| wide$| on)/.test(name),
  )
  const pools = [2, 4].map((threads) => ({
    name: `wasm on ${threads} threads`,
    create: async (weights: readonly Weight[]) =>
      WasmBackend.create(
        weights,
        await ThreadPool.shared(await compile('simd', true, trainingBinaries), threads, undefined),
      ),
  }))

  test.each(
    [...others, ...pools].flatMap(({ name, create }) => cases.map((op) => ({ name, create, op }))),
  )('of $name are those of one thread: $op.name', { tags: 'slow' }, async ({ create, op }) => {
    const want = await runOp(simd!.create, op)
    expectSame('output', (await runOp(create, op)).output, want.output)
  })
})
