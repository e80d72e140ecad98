import type { Reader, TensorInfo } from '../../checkpoint/reader.ts'
import { CHUNK, type Sink } from '../../checkpoint/values.ts'
import { writeSafetensors } from '../../checkpoint/writeSafetensors.ts'
import type { Config } from '../../model/config.ts'
import { parametersOf } from '../../model/weights.ts'
import { sizeOf } from '../../program/program.ts'

/** Returns a generator of uniform numbers in −1..1, the same for the same seed. */
export function noise(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
}

/**
 * Returns a checkpoint with random values, generated when they are read. Their distribution is like
 * that of a trained model: activations stay of order 1, gates do not saturate, and the state decays
 * over some frames to some hundred frames.
 */
export function randomCheckpoint(config: Config, seed: number): Reader {
  const tensors = new Map(
    parametersOf(config).map(({ name, shape }): [string, TensorInfo] => [
      name,
      { name, shape, dtype: 'f32' },
    ]),
  )
  const order = [...tensors.keys()]
  return {
    name: 'random',
    format: 'safetensors',
    size: 0,
    tensors,
    skipped: new Map(),
    metadata: {},
    async read(name, sink) {
      const { shape } = tensors.get(name)!
      const next = noise(seed * 100_003 + order.indexOf(name))
      const [centre, spread] = distribution(name, shape, config)
      const size = sizeOf(shape)
      const values = new Float32Array(Math.min(CHUNK, size))
      for (let at = 0; at < size; at += CHUNK) {
        const part = values.subarray(0, Math.min(CHUNK, size - at))
        for (let i = 0; i < part.length; i++) part[i] = centre + spread * next()
        await sink(part, at)
      }
    },
  }
}

/** Returns the centre of a parameter's values and the largest distance from it. */
function distribution(
  name: string,
  shape: readonly number[],
  { width, lruWidth, numHeads, depth }: Config,
): [centre: number, spread: number] {
  const role = name.split('/').pop()!
  if (name.endsWith('rg_lru/a_param')) return [-3, 3]
  if (name.endsWith('conv_1d/w')) return [0.25, 0.5]
  if (role === 'scale')
    return [name.includes('temporal_pre_norm') || name.includes('channel_pre_norm') ? 0 : 1, 0.2]
  if (role === 'bias' || role === 'b') return [0, 0.1]
  if (role === 'cls' || role === 'pos_embedding') return [0, 0.5]
  // √3 over the root of the number of inputs keeps the variance of a product with uniform weights.
  // Weights of products that are added to the residual are smaller.
  const joins = /linear_out|MultiHeadDotProductAttention_0\/out|Dense_1|ffw_down/.test(name)
  const inputs = name.includes('rg_lru')
    ? lruWidth / numHeads
    : /query|key|value/.test(name)
      ? width
      : sizeOf(shape.slice(0, -1))
  return [0, Math.sqrt(3 / inputs) * (joins ? Math.sqrt(1 / depth) : 1)]
}

/** Returns a checkpoint as a .safetensors file in memory. */
export async function checkpointBytes(checkpoint: Reader): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  const tensors = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
    name,
    shape,
    dtype: 'f32' as const,
    values: (sink: Sink) => checkpoint.read(name, sink),
  }))
  await writeSafetensors(tensors, {}, async (bytes) => void parts.push(bytes.slice()))
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}
