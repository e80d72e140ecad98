/** Computes maps, a number for each patch, from the tensors of a trace. */
import { type Config, type NdArray, openCheckpoint } from 'trecvit'
import motion from 'trecvit/motion'
import type { Look } from './messages.ts'

export type Tensors = ReadonlyMap<string, NdArray<Float32Array>>

const tensor = (tensors: Tensors, name: string): NdArray<Float32Array> => tensors.get(name)!

/** Keeps only the tensors for maps. A trace has some hundred megabytes more. */
export function keepWanted(tensors: Tensors): Tensors {
  return new Map([...tensors].filter(([name]) => /(query|key_value|gates)$/.test(name)))
}

/** Returns a number for each patch, without the class token. */
export async function mapOf(
  tensors: Tensors,
  config: Config,
  file: Blob | URL | null,
  { view, layer, head }: Look,
): Promise<Float32Array> {
  const values =
    view === 'attention'
      ? attention(tensors, config, layer, head)
      : keptShare(tensors, config, await readLambda(file, config, layer), layer)
  return config.poolType === 'tok' ? values.subarray(1) : values
}

/**
 * Attention of the class token: softmax(q·k / √r), of one head or the mean over heads. Without a
 * class token, the mean over all tokens.
 */
function attention(
  tensors: Tensors,
  { width, numHeads, poolType }: Config,
  layer: number,
  head: number | null,
): Float32Array {
  const path = `encoder/encoderblock_${layer}/MultiHeadDotProductAttention_0`
  const [query, keys] = [
    tensor(tensors, `${path}/query`).data,
    tensor(tensors, `${path}/key_value`).data,
  ]
  const n = keys.length / (2 * width)
  const r = width / numHeads
  const rows = poolType === 'tok' ? 1 : n
  const heads = head === null ? Array.from({ length: numHeads }, (_, index) => index) : [head]
  const mean = new Float32Array(n)
  for (const one of heads) {
    for (let row = 0; row < rows; row++) {
      const scores = Array.from({ length: n }, (_, key) => {
        let sum = 0
        for (let i = one * r; i < (one + 1) * r; i++)
          sum += query[row * width + i]! * keys[2 * key * width + i]!
        return sum / Math.sqrt(r)
      })
      const largest = Math.max(...scores)
      const powers = scores.map((score) => Math.exp(score - largest))
      const total = powers.reduce((sum, power) => sum + power, 0)
      powers.forEach((power, key) => (mean[key]! += power / total / rows / heads.length))
    }
  }
  return mean
}

/**
 * Share of its state that each token keeps from the frame before: a = exp(−8·softplus(Λ)·σ(gate)),
 * the mean over channels.
 */
function keptShare(
  tensors: Tensors,
  { lruWidth: e, numHeads }: Config,
  lambda: Float32Array,
  layer: number,
): Float32Array {
  // [n, h, 2, e/h]: the input gate, then the recurrence gate.
  const gates = tensor(tensors, `${lruOf(layer)}/gates`).data
  const width = e / numHeads
  return Float32Array.from({ length: gates.length / (2 * e) }, (_, token) => {
    let sum = 0
    for (let head = 0; head < numHeads; head++) {
      for (let i = 0; i < width; i++) {
        const gate = gates[2 * (token * e + head * width) + width + i]!
        sum += Math.exp(
          (-8 * Math.log1p(Math.exp(lambda[head * width + i]!))) / (1 + Math.exp(-gate)),
        )
      }
    }
    return sum / e
  })
}

const lruOf = (layer: number): string =>
  `encoder/residualblock_${String(layer).padStart(2, '0')}/recurrent_block/rg_lru`

/** Reads Λ of a layer [e] from the file, because a trace has no weights. */
async function readLambda(
  file: Blob | URL | null,
  { lruWidth }: Config,
  layer: number,
): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(file ?? motion)
  try {
    const lambda = new Float32Array(lruWidth)
    const name = [...checkpoint.tensors.keys()].find((one) =>
      one.endsWith(`${lruOf(layer)}/a_param`),
    )!
    await checkpoint.read(name, (values, at) => lambda.set(values, at))
    return lambda
  } finally {
    await checkpoint.close()
  }
}
