/** Gradients of the embedding: patches, positions and class token. */
import { afterAll, describe, expect, test } from 'vitest'
import type { Tensor } from '../../src/program/program.ts'
import { optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { type OpCase, runOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { kernelGradient } from './products.ts'

describe.each([...trainingBackends, trainingTeam])('goldens on $name', async (backend) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names
    .filter((name) => /^patchify\/.*\/frames$/.test(name))
    .map((name) => name.slice(0, -'/frames'.length))

  test.each(cases)('%s', optionsOf(backend), async (name) => {
    const has = (part: string) => goldens.names.includes(`${name}/${part}`)
    const frames = goldens.get(`${name}/frames`)
    const dy = goldens.get(`${name}/dy`)
    const [b, t, n, d] = dy.shape as [number, number, number, number]
    const patch = goldens.get(`${name}/kernel`).shape[1]!
    const lead = +has('cls')
    const bound: OpCase['bound'] = (_, want) => want
    // Rows of tokens without pixels are zero, so they do not affect the gradient of the kernel.
    const { output: patches } = await runOp(backend.create, {
      ...{ name, b, t, bound },
      inputs: {
        frames: { shape: [frames.values.length], values: Uint8Array.from(frames.values) },
      },
      record: (ops, inputs) =>
        ops.patchify(
          'op',
          { ...inputs['frames']!, shape: frames.shape, stride: 3 },
          { lead, patchSize: [patch, patch] },
        ),
    })
    const { output: dkernel } = await runOp(
      backend.create,
      kernelGradient({ b, t, rows: n, k: patch * patch * 3, n: d, x: patches, dy: dy.values }),
    )
    goldens.expect(`${name}/dkernel`, dkernel)
    const sumOf = async (record: (ops: Parameters<OpCase['record']>[0], dy: Tensor) => Tensor) =>
      (
        await runOp(backend.create, {
          ...{ name, b, t, bound },
          inputs: { dy: { shape: [b, t, n, d], values: dy.values } },
          record: (ops, inputs) => record(ops, inputs['dy']!),
        })
      ).output
    const dtable = await sumOf((ops, dy) => ops.sumFrames('op', dy))
    if (lead) goldens.expect(`${name}/dcls`, dtable.subarray(0, d))
    if (has('pos')) goldens.expect(`${name}/dpos`, dtable.subarray(lead * d))
    goldens.expect(
      `${name}/dbias`,
      await sumOf((ops, dy) => ops.sumRows('op', ops.tokens(dy, lead, n - lead))),
    )
  })

  afterAll(() => {
    expect(
      goldens.unseen.filter((name) => /^patchify\/.*\/d(kernel|bias|pos|cls)$/.test(name)),
    ).toEqual([])
    console.log(goldens.report())
  })
})
