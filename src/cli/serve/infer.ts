/**
 * Runs the model on whole videos. Each starts from a reset, as in `classify`.
 */
import type { NdArray } from '../../base/array.ts'
import { topsOf } from '../../model/heads/classification.ts'
import { sessionsOf } from '../../model/sessions.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { Session } from '../../stream/session.ts'
import { labelOf } from '../terminal.ts'
import type { OutputTensor } from './answer.ts'
import type { InferRequest } from './tensors.ts'

/**
 * @param onFrames called with the number of frames of each completed chunk
 * @param session of one video that the frames continue; by default each video starts from a reset
 * @throws the reason of the signal if it is aborted; checked between chunks
 */
export async function infer(
  model: TRecViT,
  { frames, topK, outputs }: InferRequest,
  signal: AbortSignal,
  onFrames: (count: number) => void,
  session?: Session,
): Promise<OutputTensor[]> {
  const { numClasses: c } = model.config
  const b = frames.shape[0]!
  const logits = new Float32Array(b * c)
  const probs = new Float32Array(b * c)
  // One video after another, so that more videos need no more memory.
  const sessions = sessionsOf(model)
  const used = session ?? sessions.open({ b: 1, recent: 'all', encoded: false })
  try {
    for (let video = 0; video < b; video++) {
      if (video) await used.reset()
      let before = used.frame
      for await (const chunk of sessions.feed(used, pixelsOf(frames, video))) {
        signal.throwIfAborted()
        onFrames(used.frame - before)
        before = used.frame
        logits.set(chunk['logits']!.subarray(-c), video * c)
        probs.set(chunk['probs']!.subarray(-c), video * c)
      }
    }
  } finally {
    if (!session) await used.dispose()
  }
  return outputs.map(({ name, binary }) => {
    if (name === 'logits') return { name, binary, datatype: 'FP32', shape: [b, c], data: logits }
    if (name === 'probs') return { name, binary, datatype: 'FP32', shape: [b, c], data: probs }
    const labels = topsOf(probs, c, model.labels, topK).map((top) => top.map(labelOf))
    return { name, binary, datatype: 'BYTES', shape: [b, topK], data: labels.flat() }
  })
}

function pixelsOf({ data, shape }: NdArray, video: number): NdArray['data'] {
  const size = data.length / shape[0]!
  return data.subarray(video * size, (video + 1) * size)
}
