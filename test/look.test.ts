/**
 * Overlays of the demo page (examples/demo/look.ts), compared with the results of the model for the
 * same tensors.
 */
import { readFile } from 'node:fs/promises'
import { beforeAll, expect, test } from 'vitest'
import { mapOf, type Tensors } from '../examples/demo/look.ts'
import { type Config, openCheckpoint, TRecViT } from '../src/index.ts'
import { goldenUrl } from './goldens.ts'

let config: Config
let file: Blob
/** Tensors of two consecutive frames of a stream. */
let first: Tensors
let second: Tensors

beforeAll(async () => {
  file = new Blob([await readFile(goldenUrl('small.npz'))])
  const model = await TRecViT.load(file, { device: 'wasm' })
  config = model.config
  const stream = model.stream()
  const [height, width] = config.imageSize
  const frame = (seed: number) => ({
    data: Uint8Array.from(
      { length: height * width * 3 },
      (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24,
    ),
    shape: [height, width, 3],
  })
  first = await stream.trace(frame(1))
  second = await stream.trace(frame(2))
  await model.dispose()
})

test('attention: with these shares the values add up to what the model has', async () => {
  const { width: d, numHeads, depth } = config
  const r = d / numHeads
  for (let layer = 0; layer < depth; layer++) {
    const path = `encoder/encoderblock_${layer}/MultiHeadDotProductAttention_0`
    const [context, keyValue] = [
      second.get(`${path}/context`)!.data,
      second.get(`${path}/key_value`)!.data,
    ]
    const mean = await mapOf(second, config, file, { view: 'attention', layer, head: null })
    const means = new Float32Array(mean.length)
    for (let head = 0; head < numHeads; head++) {
      const patches = await mapOf(second, config, file, { view: 'attention', layer, head })
      patches.forEach((share, index) => (means[index]! += share / numHeads))
      // The rest is the share of the class token.
      const shares = [1 - patches.reduce((sum, share) => sum + share, 0), ...patches]
      for (let i = head * r; i < (head + 1) * r; i++) {
        const sum = shares.reduce(
          (total, share, token) => total + share * keyValue[(2 * token + 1) * d + i]!,
          0,
        )
        expect(sum).toBeCloseTo(context[i]!, 4)
      }
    }
    means.forEach((share, index) => expect(mean[index]).toBeCloseTo(share, 6))
  }
})

test('decay: this share of the state before gives the recurrence of the model', {
  tags: 'slow',
}, async () => {
  const { lruWidth: e, numHeads, depth } = config
  const checkpoint = await openCheckpoint(file)
  for (let layer = 0; layer < depth; layer++) {
    const block = `encoder/residualblock_0${layer}/recurrent_block`
    const lambda: number[] = []
    await checkpoint.read(`${block}/rg_lru/a_param`, (values) => void lambda.push(...values))
    const of = (tensors: Tensors, token: number, channel: number) => {
      const [yx, v, gates, joined] = ['linear_yx', 'conv_1d', 'rg_lru/gates', 'joined'].map(
        (name) => tensors.get(`${block}/${name}`)!.data,
      ) as [Float32Array, Float32Array, Float32Array, Float32Array]
      const gate = (which: number) =>
        1 /
        (1 +
          Math.exp(
            -gates[
              2 * token * e +
                2 * (e / numHeads) * Math.floor(channel / (e / numHeads)) +
                which * (e / numHeads) +
                (channel % (e / numHeads))
            ]!,
          ))
      const y = yx[2 * token * e + channel]!
      return {
        y,
        s: joined[token * e + channel]! / y,
        input: gate(0) * v[token * e + channel]!,
        a: Math.exp(-8 * Math.log1p(Math.exp(lambda[channel]!)) * gate(1)),
      }
    }
    const kept = await mapOf(second, config, file, { view: 'decay', layer, head: null })
    for (let token = 1; token <= kept.length; token++) {
      let sum = 0
      for (let channel = 0; channel < e; channel++) {
        const [before, after] = [of(first, token, channel), of(second, token, channel)]
        sum += after.a
        // The state cannot be derived where its multiplier is almost zero.
        if (Math.abs(before.y) > 0.01 && Math.abs(after.y) > 0.01)
          expect(after.a * before.s + Math.sqrt(1 - after.a ** 2) * after.input).toBeCloseTo(
            after.s,
            3,
          )
      }
      expect(kept[token - 1]).toBeCloseTo(sum / e, 5)
    }
  }
  await checkpoint.close()
})
