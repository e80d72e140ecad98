/**
 * The built-in model on frames that everybody can make: its answers have the same bits on every machine and in every runtime.
 */

/** SHA-256 of the logits of `selfTest`, as hexadecimal digits. */
export const expectedHash = '7679350dbf37d53ea13b6ef2ee3413ae0517a3e330637bfbe7513b7837b9b261'

/** Frames of the test. */
const FRAMES = 16

/**
 * Runs the test.
 * @throws TrecvitError if the built-in model is missing or damaged
 */
export async function selfTest(): Promise<{ hash: string; framesPerSecond: number }> {
  const { TRecViT } = await import('../model/trecvit.ts')
  const model = await TRecViT.load('builtin', { device: 'wasm' })
  const [height, width] = model.config.imageSize
  const stream = model.stream()
  const logits = new Float32Array(FRAMES * model.config.numClasses)
  let seed = 1
  let start = 0
  for (let frame = 0; frame < FRAMES; frame++) {
    // The first frame also prepares the program.
    if (frame === 1) start = performance.now()
    const data = Uint8Array.from({ length: height * width * 3 }, () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24)
    logits.set((await stream.push({ data, shape: [height, width, 3] })).logits.data, frame * model.config.numClasses)
  }
  const framesPerSecond = (FRAMES - 1) / ((performance.now() - start) / 1000)
  await stream.dispose()
  await model.dispose()
  const digest = await crypto.subtle.digest('SHA-256', logits)
  return { hash: Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join(''), framesPerSecond }
}
