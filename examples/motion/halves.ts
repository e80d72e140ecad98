/** Writes a model whose values are exact in float16, in half the bytes. */
import { CHUNK, type Sink } from '../../src/checkpoint/values.ts'
import { writeSafetensors } from '../../src/checkpoint/writeSafetensors.ts'
import type { Config } from '../../src/model/config.ts'
import { parametersOf } from '../../src/model/weights.ts'
import type { Parameters } from '../../src/train/index.ts'
import { LABELS } from './camera.ts'

/** Returns a .safetensors file with the parameters rounded to float16, and the labels. */
export async function encodeHalves(config: Config, parameters: Parameters): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const { framesPerClip, imageSize } = config
  await writeSafetensors(
    parametersOf(config).map(({ name, shape }) => ({
      ...{ name, shape, dtype: 'f16' },
      values: (sink: Sink) => inChunks(parameters.get(name)!, sink),
    })),
    {
      config: JSON.stringify({ framesPerClip, imageSize }),
      labels: JSON.stringify(LABELS),
    },
    async (bytes) => {
      parts.push(Uint8Array.from(bytes))
    },
  )
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer())
}

async function inChunks(values: Float32Array, sink: Sink): Promise<void> {
  for (let at = 0; at < values.length; at += CHUNK) await sink(values.subarray(at, at + CHUNK), at)
}
