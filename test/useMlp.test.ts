/**
 * The gated MLP of `useMlp`, which no golden model uses. The formula is evaluated with the tensors
 * of the checkpoint.
 */
import { expect, test } from 'vitest'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, TRecViT } from '../src/index.ts'
import { parametersOf } from '../src/model/weights.ts'

test(
  'out = x + (gelu(w·U0 + c0) ⊙ (w·U1 + c1))·Wd + bd, w = rmsNorm(x), ' +
    'between recurrence and attention',
  async () => {
    const config = configOf('mu', {
      depth: 2,
      imageSize: [32, 48],
      mlpDim: 20,
      useMlp: true,
      repSize: 8,
      numClasses: 3,
    })
    const { width: d, mlpDim: m } = config
    const checkpoint = randomCheckpoint(config, 3)
    const model = await TRecViT.load(await checkpointBytes(checkpoint), {
      device: 'wasm',
      config: { imageSize: config.imageSize },
    })
    expect(model.config).toEqual({ ...config, framesPerClip: 32 })
    const next = noise(1)
    const trace = await model.trace({
      data: Uint8Array.from({ length: 2 * 32 * 48 * 3 }, () => 128 + 127 * next()),
      shape: [2, 32, 48, 3],
    })

    const sizes = new Map(
      parametersOf(config).map(({ name, shape }) => [
        name,
        shape.reduce((product, side) => product * side, 1),
      ]),
    )
    const read = async (name: string) => {
      const values = new Float32Array(sizes.get(name)!)
      await checkpoint.read(name, (part, at) => values.set(part, at))
      return values
    }
    for (const block of ['encoder/residualblock_00', 'encoder/residualblock_01']) {
      const [scale, up, upBias, down, downBias] = await Promise.all(
        [
          'channel_pre_norm/scale',
          'mlp_block/ffw_up/w',
          'mlp_block/ffw_up/b',
          'mlp_block/ffw_down/kernel',
          'mlp_block/ffw_down/bias',
        ].map((name) => read(`${block}/${name}`)),
      )
      const x = trace.get(`${block}/after_recurrence`)!.data
      const got = trace.get(`${block}/out`)!.data
      for (let row = 0; row < x.length / d; row++) {
        const rowOf = (from: Float32Array) => [...from.subarray(row * d, (row + 1) * d)]
        const rms = Math.sqrt(rowOf(x).reduce((sum, value) => sum + value * value, 0) / d + 1e-6)
        const w = rowOf(x).map((value, i) => (value / rms) * (1 + scale![i]!))
        const half = (which: number, o: number) =>
          w.reduce(
            (sum, value, i) => sum + value * up![(which * d + i) * m + o]!,
            upBias![which * m + o]!,
          )
        const gelu = (u: number) =>
          0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3)))
        const hidden = Array.from({ length: m }, (_, o) => gelu(half(0, o)) * half(1, o))
        rowOf(got).forEach((value, i) => {
          const want = hidden.reduce(
            (sum, activation, o) => sum + activation * down![o * d + i]!,
            x[row * d + i]! + downBias![i]!,
          )
          // About 80 terms of size 1, each accurate to 2^−24.
          expect(Math.abs(value - want)).toBeLessThan(1e-5 * Math.max(1, Math.abs(want)))
        })
      }
      // The next layer reads it.
      expect(
        model
          .program()
          .steps.find(
            ({ name }) =>
              name === `${block.replace('residualblock_0', 'encoderblock_')}/LayerNorm_0`,
          )!.inputs,
      ).toMatchObject({ x: { buffer: { name: `${block}/out` } } })
    }
  },
)
