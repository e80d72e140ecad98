import type { BackendUnderTest } from './backends.ts'
import { runOp } from './ops.ts'

/** Inputs of attention. */
export interface AttentionInput {
  readonly frames: number
  readonly nq: number
  readonly n: number
  readonly heads: number
  readonly r: number
  /** [frames, nq, heads·r] */
  readonly q: Float32Array
  /** [frames, n, heads·r] */
  readonly k: Float32Array
}

/**
 * Returns the probabilities [frames, heads, nq, n], which attention does not output. To obtain
 * them, v is set to 1 for r keys at a time.
 */
export async function attentionWeights(
  create: BackendUnderTest['create'],
  { frames, nq, n, heads, r, q, k }: AttentionInput,
): Promise<Float32Array> {
  const d = heads * r
  const weights = new Float32Array(frames * heads * nq * n)
  for (let first = 0; first < n; first += r) {
    const v = Float32Array.from({ length: frames * n * d }, (_, at) =>
      Number(Math.floor(at / d) % n === first + (at % r)),
    )
    const { output } = await runOp(create, {
      name: 'weights',
      t: frames,
      inputs: {
        q: { shape: [1, frames, nq, d], values: q },
        k: { shape: [1, frames, n, d], values: k },
        v: { shape: [1, frames, n, d], values: v },
      },
      record: (ops, inputs) => ops.attention('op', inputs['q']!, inputs['k']!, inputs['v']!, heads),
      bound: () => [],
    })
    output.forEach((value, at) => {
      const [frame, i, head, key] = [
        Math.floor(at / (nq * d)),
        Math.floor(at / d) % nq,
        Math.floor(at / r) % heads,
        first + (at % r),
      ]
      if (key < n) weights[((frame * heads + head) * nq + i) * n + key] = value
    })
  }
  return weights
}
