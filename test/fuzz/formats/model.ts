/** Whole models: configurations that follow from the tensors, and metadata of checkpoints. */

import type { ModelSource } from '../../../src/model/options.ts'
import { TRecViT } from '../../../src/model/trecvit.ts'
import { parametersOf } from '../../../src/model/weights.ts'
import type { Format } from '../format.ts'
import { config, frameOf } from '../model.ts'
import { bytes, type Group, group, json, number } from '../parts.ts'
import { Random } from '../random.ts'
import { sourceOf } from '../sources.ts'

function tiny(): Group {
  const random = new Random('tiny')
  const header: Record<string, unknown> = {
    __metadata__: {
      config: JSON.stringify({ framesPerClip: 32, imageSize: [16, 16] }),
      labels: JSON.stringify(['one', 'two', 'three']),
    },
  }
  let at = 0
  const data = parametersOf(config).map(({ name, shape }) => {
    const values = Float32Array.from(
      { length: shape.reduce((product, side) => product * side, 1) },
      () => random.next() / 2 ** 32 - 0.5,
    )
    header[name] = { dtype: 'F32', shape, data_offsets: [at, (at += values.byteLength)] }
    return bytes(new Uint8Array(values.buffer))
  })
  const lead = json(header)
  return group('file', [
    number(8, 'little', (places) => places.size(lead)),
    lead,
    group('values', data),
  ])
}

export const models: Format = {
  name: 'model',
  seeds: [tiny],
  async open({ data }, random) {
    const model = await TRecViT.load((await sourceOf(data, random, 'files')) as ModelSource, {
      device: 'wasm',
      threads: 1,
    })
    try {
      const stream = model.stream()
      if (model.config.imageSize.join() === '16,16') await stream.push(frameOf(1))
    } finally {
      await model.dispose()
    }
  },
}
