import { afterAll, describe, expect, test } from 'vitest'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

function problem({ t, c }: { t: number; c: number }, dy = noise(2 * t * c, 1)): OpCase {
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
  'sizes',
  [
    ...[1, 3, 4, 9, 70].map((c) => problem({ t: 3, c })),
    ...[1, 2, 16, 33].map((t) => problem({ t, c: 6 })),
  ],
  trainingBackends,
  trainingTeam,
)

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^meanFrames\/.*\/dy$/.test(name))

  test.each(cases.map((name) => name.slice(0, -3)))('%s', async (name) => {
    const [b, t, c] = goldens.get(`${name}/x`).shape as [number, number, number]
    const { values } = goldens.get(`${name}/dy`)
    // The mean over a clip is the average at the last frame.
    const dy = new Float32Array(b * t * c)
    for (let video = 0; video < b; video++)
      dy.set(values.subarray(video * c, (video + 1) * c), (video * t + t - 1) * c)
    const { output } = await runOp(create, problem({ t, c }, dy))
    goldens.expect(`${name}/dx`, output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^meanFrames\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
