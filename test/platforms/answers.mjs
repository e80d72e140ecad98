/**
 * What a runtime makes of the models: through the public interface alone, and without anything that not every runtime has.
 */

/** The built-in model and the golden ones: file, and what its tensors do not tell. */
const MODELS = {
  builtin: ['builtin', {}],
  mu: ['test/goldens/mu.npz', { framesPerClip: 4 }],
  small: ['test/goldens/small.npz', { framesPerClip: 6 }],
  small_gap: ['test/goldens/small_gap.npz', { framesPerClip: 6, imageSize: [64, 64] }],
}
/** Frames of a video, and ways to cut them into chunks. */
const FRAMES = 5
const SPLITS = [[5], [1, 1, 1, 1, 1], [2, 3], [4, 1]]

/**
 * @param TRecViT the package's class
 * @param read gives the bytes of a file of the repository
 * @param options.threads teams to try, one after the other
 * @param options.load further options of TRecViT.load
 * @param options.gpu whether to try WebGPU too
 * @returns a SHA-256 of the logits of every model, which no team and no split may change; how the CPU was used; the adapter, and how far its
 *   logits are off at most, relative to the largest, or why there is none
 */
export async function answers(TRecViT, read, { threads = [1, 2, 4], load = {}, gpu = true } = {}) {
  const hashes = {}
  const teams = new Set()
  let adapter = null
  let error = 0
  let reason = null
  for (const [name, [file, config]] of Object.entries(MODELS)) {
    const bytes = file === 'builtin' ? file : await read(file)
    const open = (options) => TRecViT.load(bytes, { device: 'wasm', config, ...load, ...options })
    let want
    for (const count of threads) {
      const model = await open({ threads: count })
      teams.add(model.device.threads)
      reason = model.device.reason
      for (const split of SPLITS) {
        const logits = await logitsOf(model, split)
        want ??= logits
        const differs = logits.findIndex((value, index) => !Object.is(value, want[index]))
        if (differs >= 0) throw new Error(`${name} on ${count} threads in chunks of ${split} expected ${want[differs]} as logit ${differs}, got ${logits[differs]}`)
      }
      await model.dispose()
    }
    hashes[name] = hex(await crypto.subtle.digest('SHA-256', want))
    if (!gpu || (adapter === null && name !== 'builtin')) continue
    try {
      const model = await open({ device: 'webgpu' })
      adapter = model.device.kernels
      const logits = await logitsOf(model, SPLITS[2])
      await model.dispose()
      const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      error = Math.max(error, logits.reduce((most, value, index) => Math.max(most, Math.abs(value - want[index])), 0) / largest)
    } catch (cause) {
      if (adapter !== null) throw cause
      gpu = cause.message
      break
    }
  }
  return { hashes, threads: [...teams], reason, relaxed: WebAssembly.validate(RELAXED), adapter, error: adapter === null ? null : error, noGpu: adapter === null && typeof gpu === 'string' ? gpu : null }
}

/** Logits of all frames of a video of noise. */
async function logitsOf(model, split) {
  const [height, width] = model.config.imageSize
  const size = height * width * 3
  let seed = 1
  const pixels = Uint8Array.from({ length: FRAMES * size }, () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24)
  const session = model.session({ b: 1, recent: 'all', encoded: false })
  const logits = []
  for (const t of split) {
    const from = session.frame * size
    logits.push(...(await session.advance(pixels.subarray(from, from + t * size), t)).outputs.logits)
  }
  await session.dispose()
  return Float32Array.from(logits)
}

const hex = (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** (func (result v128) (i8x16.relaxed_swizzle (i8x16.splat (i32.const 1)) (i8x16.splat (i32.const 2)))): valid where there is relaxed SIMD. */
const RELAXED = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11)
