/** What the head reads of clips, computed a few frames at a time. */
import type { NdArray } from '../base/array.ts'
import { type Batch, checkClips } from './batch.ts'
import type { Outputs, Run } from './device.ts'
import { take } from './parts.ts'
import { type ClassifierTraining, recordHeadInputs } from './program.ts'

/**
 * Computes the input of the head [b, t, d], two frames at a time: the activations of all frames
 * would take more memory than the training of the head.
 * @param frames [b, t, H, W, 3]
 * @param run runs programs one after the other
 * @throws TrecvitError if the frames do not fit the model
 */
export async function headInputsOf(
  training: ClassifierTraining,
  frames: NdArray<Uint8Array>,
  run: (runs: readonly Run[]) => Promise<Outputs[]>,
): Promise<NdArray<Float32Array>> {
  const { b, t, input } = checkClips(training.config, { frames })
  const few = t % 2 ? 1 : 2
  const parts = t / few
  const ofPart = (part: number) => Array.from({ length: b }, (_, video) => video * parts + part)
  const outputs = await run(
    Array.from({ length: parts }, (_, part) => ({
      key: `features ${b} ${few}`,
      record: () => recordHeadInputs(training, { b, t: few }),
      inputs: { pixels: take(input, b * parts, ofPart(part)) },
      ...(part > 0 && { before: 'kept' as const }),
    })),
  )
  const size = few * training.config.width
  const data = new Float32Array(b * parts * size)
  for (const [part, { head_input }] of outputs.entries())
    for (const [video, to] of ofPart(part).entries())
      data.set(head_input!.subarray(video * size, (video + 1) * size), to * size)
  return { data, shape: [b, t, training.config.width] }
}

/** Returns batches of features in place of frames. */
export async function withFeatures(
  training: ClassifierTraining,
  batches: readonly Batch[],
  run: (runs: readonly Run[]) => Promise<Outputs[]>,
): Promise<Batch[]> {
  const found: Batch[] = []
  for (const batch of batches)
    found.push(
      'features' in batch
        ? batch
        : {
            features: await headInputsOf(training, batch.frames, run),
            targets: batch.targets,
          },
    )
  return found
}
