import { afterAll, describe, expect, test } from 'vitest'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

interface Pool {
  readonly t: number
  readonly n: number
  readonly d: number
  readonly pooled: number
}

function pool({ t, n, d, pooled }: Pool, dy = noise(2 * t * d, 1)): OpCase {
  const b = dy.length / t / d
  return {
    name: `${b}×${t} frames, ${pooled} of ${n} tokens, ${d} columns`,
    ...{ b, t },
    inputs: { dy: { shape: [b, t, 1, d], values: dy } },
    record: (ops, { dy }) => ops.poolGradient('op', dy!, n, pooled),
    // The quotient is rounded once; zeros are exact.
    bound: ({ unit, smallest }, want) =>
      want.map((value) => value && unit * Math.abs(value) + smallest),
  }
}

function average({ t, c }: { t: number; c: number }, dy = noise(2 * t * c, 1)): OpCase {
  const b = dy.length / t / c
  return {
    name: `${b}×${t} frames, ${c} columns`,
    ...{ b, t },
    inputs: { dy: { shape: [b, t, 1, c], values: dy } },
    record: (ops, { dy }) => ops.averageGradient('op', dy!),
    bound(precision, want) {
      return want.map((_, at) => {
        let sum = 0
        for (let frame = Math.floor(at / c) % t, from = at; frame < t; frame++, from += c)
          sum += Math.abs(dy[from]!) / (frame + 1)
        return sum * gamma(t + 1, precision) + 2 * t * precision.smallest
      })
    },
  }
}

testOp(
  'poolGradient',
  [
    ...[1, 3, 4, 9, 70].map((d) => pool({ t: 2, n: 5, d, pooled: 5 })),
    ...[1, 2, 7].map((n) => pool({ t: 3, n, d: 10, pooled: 1 })),
    pool({ t: 2, n: 3, d: 6, pooled: 3 }, noise(12, 1, 1e30)),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'averageGradient',
  [
    ...[1, 3, 4, 9, 70].map((c) => average({ t: 3, c })),
    ...[1, 2, 16, 33].map((t) => average({ t, c: 6 })),
  ],
  trainingBackends,
  trainingTeam,
)

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const casesOf = (op: string) =>
    goldens.names
      .filter((name) => name.startsWith(`${op}/`) && name.endsWith('/dy'))
      .map((name) => name.slice(0, -3))

  test.each(casesOf('pool'))('%s', async (name) => {
    const [t, n, d] = goldens.get(`${name}/x`).shape as [number, number, number]
    const pooled = name.includes('/tok/') ? 1 : n
    const { output } = await runOp(
      create,
      pool({ t, n, d, pooled }, goldens.get(`${name}/dy`).values),
    )
    goldens.expect(`${name}/dx`, output)
  })

  test.each(casesOf('meanFrames'))('%s', async (name) => {
    const [b, t, c] = goldens.get(`${name}/x`).shape as [number, number, number]
    const { values } = goldens.get(`${name}/dy`)
    // The mean over a clip is the average at its last frame.
    const dy = new Float32Array(b * t * c)
    for (let video = 0; video < b; video++)
      dy.set(values.subarray(video * c, (video + 1) * c), (video * t + t - 1) * c)
    const { output } = await runOp(create, average({ t, c }, dy))
    goldens.expect(`${name}/dx`, output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^(pool|meanFrames)\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
