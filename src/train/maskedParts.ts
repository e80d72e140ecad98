/** The parts of an update of a masked auto-encoder. */
import {
  countPatches,
  drawVisible,
  lossWeights,
  type MaskedBatch,
  maskedInputs,
  targetOf,
} from './maskedBatch.ts'
import { type MaskedTraining, recordMaskedStep } from './maskedProgram.ts'
import type { MaskedTrainerOptions } from './options.ts'
import { divide, type Part, take } from './parts.ts'
import type { Random } from './random.ts'

interface PartOptions extends Pick<MaskedTrainerOptions, 'loss' | 'microBatch'> {
  /** Of the masks. */
  readonly random: Random
}

/**
 * Returns the parts of an update with some batches.
 * @throws TrecvitError if a batch does not fit the model
 */
export function maskedPartsOf(
  training: MaskedTraining,
  batches: readonly MaskedBatch[],
  { loss = 'all', microBatch, random }: PartOptions,
): Part[] {
  const { config } = training
  const checked = batches.map(({ frames, visible }) =>
    maskedInputs(config, {
      frames,
      visible: visible ?? drawVisible(config, frames.shape[0] ?? 0, random),
    }),
  )
  const count = checked.reduce((sum, { inputs }) => sum + countPatches(loss, inputs.masked), 0)
  return checked.flatMap(({ size: { b, t, v }, inputs: { pixels, visible, masked } }) =>
    divide([...Array(b).keys()], microBatch).map((videos): Part => {
      const size = { b: videos.length, t, v }
      const own = {
        pixels: take(pixels, b, videos),
        visible: take(visible, b, videos),
        masked: take(masked, b, videos),
      }
      const target = targetOf(config, own.pixels)
      const numbers = target.length / own.masked.length
      return {
        key: `${size.b} ${t} ${v}`,
        size,
        record: (use, { b, recompute } = { b: size.b, recompute: training.recompute ?? 'none' }) =>
          recordMaskedStep({ ...training, recompute }, { ...size, b }, use),
        inputs: { ...own, target, weight: lossWeights(loss, own.masked, count, numbers) },
      }
    }),
  )
}
