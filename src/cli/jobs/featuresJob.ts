/** Writes the features of the video of a job. */
import type { TRecViT } from '../../model/trecvit.ts'
import { writeFeatures } from '../features.ts'
import type { Keeper } from './keeper.ts'
import type { Settings } from './settings.ts'
import type { JobData } from './types.ts'

/** Result of a job. */
export interface Encoded {
  readonly output: string
  readonly frames: number
  /** Why the video ended early. */
  readonly error?: string
}

/**
 * Writes features as "trecvit features" does.
 * @returns null if the signal was aborted
 * @throws TrecvitError if the video cannot be read, or the file cannot be written
 */
export async function featuresJob(
  model: TRecViT,
  { video, output }: JobData,
  { reading, pool }: Settings,
  _keeper: Keeper<never>,
  signal: AbortSignal,
): Promise<Encoded | null> {
  const { shape, broken } = await writeFeatures(model, video, output!, pool, reading, signal)
  return { output: output!, frames: shape[0]!, ...(broken && { error: broken.message }) }
}
