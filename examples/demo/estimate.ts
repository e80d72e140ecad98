/** Estimates the speed of TRecViT-B on this machine from one of its layers, before the download. */
import { type LoadOptions, TRecViT } from 'trecvit'

const [WIDTH, MLP, HEADS, LRU, TAPS, REP, CLASSES] = [768, 3072, 12, 1536, 4, 3072, 400]
const LAYERS = 12
const [SIZE, PATCH] = [224, 16]
/** Number of frames to warm up, and number of timed frames. */
const [WARM_UP, TIMED] = [1, 3]

/** Returns the official names and shapes of the tensors of TRecViT-B with one layer only. */
function tensorsOfOneLayer(): Map<string, number[]> {
  const recurrent = 'encoder/residualblock_00/recurrent_block'
  const block = 'encoder/encoderblock_0'
  const attention = `${block}/MultiHeadDotProductAttention_0`
  const head = LRU / HEADS
  const tensors: [string, number[]][] = [
    ['tokenizer/embedding/kernel', [1, PATCH, PATCH, 3, WIDTH]],
    ['tokenizer/embedding/bias', [WIDTH]],
    ['tokenizer/pos_embedding', [1, (SIZE / PATCH) ** 2, WIDTH]],
    ['tokenizer/cls', [1, 1, WIDTH]],
    ['encoder/residualblock_00/temporal_pre_norm/scale', [WIDTH]],
    [`${recurrent}/conv_1d/w`, [TAPS, LRU]],
    [`${recurrent}/conv_1d/b`, [LRU]],
    [`${recurrent}/rg_lru/a_param`, [LRU]],
    ...['input_gate', 'a_gate'].flatMap((gate): [string, number[]][] => [
      [`${recurrent}/rg_lru/${gate}/w`, [HEADS, head, head]],
      [`${recurrent}/rg_lru/${gate}/b`, [HEADS, head]],
    ]),
    ...linear(`${recurrent}/linear_y`, [WIDTH], [LRU]),
    ...linear(`${recurrent}/linear_x`, [WIDTH], [LRU]),
    ...linear(`${recurrent}/linear_out`, [LRU], [WIDTH]),
    ...['query', 'key', 'value'].flatMap((name) =>
      linear(`${attention}/${name}`, [WIDTH], [HEADS, WIDTH / HEADS]),
    ),
    ...linear(`${attention}/out`, [HEADS, WIDTH / HEADS], [WIDTH]),
    ...linear(`${block}/MlpBlock_0/Dense_0`, [WIDTH], [MLP]),
    ...linear(`${block}/MlpBlock_0/Dense_1`, [MLP], [WIDTH]),
  ]
  for (const name of [`${block}/LayerNorm_0`, `${block}/LayerNorm_1`, 'encoder/encoder_norm'])
    tensors.push([`${name}/scale`, [WIDTH]], [`${name}/bias`, [WIDTH]])
  tensors.push(
    ...linear('decoder/pre_logits', [WIDTH], [REP]),
    ...linear('decoder/cls_head', [REP], [CLASSES]),
  )
  return new Map(tensors)
}

const linear = (name: string, from: number[], to: number[]): [string, number[]][] => [
  [`${name}/kernel`, [...from, ...to]],
  [`${name}/bias`, to],
]

/** Returns a checkpoint of zeros, as .safetensors. */
export function checkpointOfOneLayer(): Blob {
  let at = 0
  const header: Record<string, object> = {}
  for (const [name, shape] of tensorsOfOneLayer()) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1)
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] }
    at += bytes
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = new BigUint64Array([BigInt(text.length)])
  return new Blob([length, text, new Uint8Array(at)])
}

/** Returns the estimated frames per second of TRecViT-B: its time is 12 times that of one layer. */
export async function estimate(options: LoadOptions): Promise<number> {
  const model = await TRecViT.load(checkpointOfOneLayer(), options)
  try {
    const stream = model.stream({ average: { frames: 8 } })
    const frame = { data: new Uint8Array(SIZE * SIZE * 3), shape: [SIZE, SIZE, 3] }
    for (let i = 0; i < WARM_UP; i++) await stream.push(frame)
    let best = Infinity
    for (let i = 0; i < TIMED; i++) {
      const start = performance.now()
      await stream.push(frame)
      best = Math.min(best, performance.now() - start)
    }
    return 1000 / best / LAYERS
  } finally {
    await model.dispose()
  }
}
