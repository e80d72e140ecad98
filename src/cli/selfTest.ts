/**
 * Runs the built-in model on generated frames. Its results are bit-identical on every machine and
 * in every runtime.
 */
import type { NdArray } from '../base/array.ts'
import type { TRecViT } from '../model/trecvit.ts'

/** SHA-256 of the logits of `runBuiltin`, as hexadecimal digits. */
export const expectedHash = '24643a4ac1b4a827b86939d2662d66cfad13a66fb8ae8698609dd0e18441e255'

/** Number of frames in the test. */
const FRAMES = 16

/**
 * Runs the test.
 * @throws TrecvitError if the built-in model is missing or damaged
 */
export async function runBuiltin(): Promise<{ hash: string; framesPerSecond: number }> {
  const { TRecViT } = await import('../model/trecvit.ts')
  await using model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true })
  const { logits, framesPerSecond } = await logitsOf(model, framesOf(model))
  const digest = await crypto.subtle.digest('SHA-256', logits)
  return {
    hash: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join(''),
    framesPerSecond,
  }
}

/** Generates frames of noise for a model. */
export function framesOf({
  config: {
    imageSize: [height, width],
  },
}: TRecViT): NdArray<Uint8Array>[] {
  let seed = 1
  return Array.from({ length: FRAMES }, () => ({
    data: Uint8Array.from(
      { length: height * width * 3 },
      () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
    ),
    shape: [height, width, 3],
  }))
}

/**
 * Returns the logits of a stream and its speed. The first frame, which prepares the program, does
 * not count for the speed.
 */
export async function logitsOf(
  model: TRecViT,
  frames: readonly NdArray<Uint8Array>[],
): Promise<{ logits: Float32Array<ArrayBuffer>; framesPerSecond: number }> {
  const stream = model.stream({ average: 'all' })
  const logits = new Float32Array(frames.length * model.config.numClasses)
  let start = 0
  for (const [index, frame] of frames.entries()) {
    if (index === 1) start = performance.now()
    logits.set((await stream.push(frame)).logits.data, index * model.config.numClasses)
  }
  await stream.dispose()
  return { logits, framesPerSecond: (frames.length - 1) / ((performance.now() - start) / 1000) }
}
