/**
 * What a runtime makes of the models: through the public interface alone, and without anything that
 * not every runtime has.
 */

import { augmented, learned, pretrained } from './learns.mjs'

/**
 * The built-in model and the golden ones: file, what its tensors do not tell, and the format of the
 * matrices if it is not the file's.
 */
const MODELS = {
  builtin: ['builtin', {}],
  'builtin, int8': ['builtin', {}, 'int8'],
  mu: ['test/goldens/mu.npz', {}],
  small: ['test/goldens/small.npz', {}],
  small_gap: ['test/goldens/small_gap.npz', { imageSize: [64, 64] }],
  'small_gap, int8': ['test/goldens/small_gap.npz', { imageSize: [64, 64] }, 'int8'],
}
/** Frames of a video: `forward` runs a chunk of the first of them, then the others one by one. */
const FRAMES = 17
/** Frames whose logits are hashed. */
const HASHED = 5
/**
 * How far the relaxed kernels may be off, relative to the largest logit: two answers, each within
 * 1e-5 of the exact one.
 */
const RELAXED_BOUND = 2e-5

/**
 * @param package.TRecViT, package.configOf of the package
 * @param package.train the entry `trecvit/train`
 * @param read returns the bytes of a file of the repository
 * @param options.threads numbers of threads to try, one after the other
 * @param options.load further options of TRecViT.load
 * @param options.training further options of a trainer
 * @param options.gpu whether to try WebGPU, too
 * @returns a SHA-256 of the logits of every model, of the parameters of trained ones and of
 * augmented clips, which must not depend on threads, chunks or revectorisation; how the CPU was
 * used; for each build of the kernels and for the GPU, the largest difference of the logits,
 * relative to the largest, or why there is no GPU
 */
export async function answers(
  { TRecViT, configOf, train },
  read,
  { threads = [1, 2, 4], load = {}, training = {}, gpu = true } = {},
) {
  const hashes = {}
  const teams = new Set()
  const builds = {}
  let adapter = null
  let error = 0
  let reason = null
  let noGpu = null
  for (const [name, [file, config, dtype]] of Object.entries(MODELS)) {
    const bytes = file === 'builtin' ? file : await read(file)
    const open = (options) =>
      TRecViT.load(bytes, {
        device: 'wasm',
        deterministic: true,
        config: { ...config, framesPerClip: FRAMES },
        ...(dtype && { dtype }),
        ...load,
        ...options,
      })
    let want
    for (const count of threads) {
      const model = await open({ threads: count })
      teams.add(model.device.threads)
      if (model.device.kernels !== 'simd')
        throw new Error(`"deterministic" expected the build simd, got ${model.device.kernels}`)
      reason = model.device.reason
      const logits = await logitsOf(model)
      want ??= logits
      expectSame(`${name} on ${count} threads`, logits, want)
      const { numClasses } = model.config
      const last = logits.subarray((FRAMES - 1) * numClasses, FRAMES * numClasses)
      expectSame(`${name} in chunks`, logits.subarray(FRAMES * numClasses), last)
      await model.dispose()
    }
    const hashed = want.slice(0, (want.length / (FRAMES + 1)) * HASHED)
    hashes[name] = hex(await crypto.subtle.digest('SHA-256', hashed))
    // What is fastest here, then what V8 makes of pairs of operations, where it can: first the
    // build that keeps its bits.
    for (const options of [
      {},
      { deterministic: true, experimentalRevectorize: true },
      { experimentalRevectorize: true },
    ]) {
      // A sum that is rounded in another way may make another integer, a step away.
      if (dtype && !options.deterministic) continue
      const model = await open({ deterministic: false, ...options })
      const { kernels } = model.device
      const off = distance(await logitsOf(model), want)
      await model.dispose()
      const bound = kernels.includes('relaxed') ? RELAXED_BOUND : 0
      if (!(off <= bound))
        throw new Error(
          `${name} with the build ${kernels} expected logits within ${bound} of the largest, ` +
            `got ${off}`,
        )
      builds[kernels] = Math.max(builds[kernels] ?? 0, off)
    }
    if (!gpu || dtype || (adapter === null && name !== 'builtin')) continue
    try {
      const model = await open({ device: 'webgpu' })
      adapter = model.device.kernels
      const logits = await logitsOf(model)
      await model.dispose()
      error = Math.max(error, distance(logits, want))
    } catch (cause) {
      if (adapter !== null) throw cause
      noGpu = cause.message
      gpu = false
    }
  }
  for (const [name, learn] of Object.entries({ trained: learned, pretrained })) {
    const parameters = await learn(configOf, train, { threads, options: training })
    hashes[name] = hex(await crypto.subtle.digest('SHA-256', parameters))
  }
  hashes.augmented = hex(await crypto.subtle.digest('SHA-256', augmented(train)))
  return {
    hashes,
    threads: [...teams],
    reason,
    builds,
    adapter,
    error: adapter === null ? null : error,
    noGpu,
  }
}

/** Logits of a stream of noise after every frame, then those of `forward` on the same frames. */
async function logitsOf(model) {
  const [height, width] = model.config.imageSize
  const size = height * width * 3
  let seed = 1
  const pixels = Uint8Array.from(
    { length: FRAMES * size },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  )
  const stream = model.stream({ average: 'all' })
  const logits = []
  for (let frame = 0; frame < FRAMES; frame++) {
    const data = pixels.subarray(frame * size, (frame + 1) * size)
    logits.push(...(await stream.push({ data, shape: [height, width, 3] })).logits.data)
  }
  await stream.dispose()
  const clip = await model.forward({ data: pixels, shape: [FRAMES, height, width, 3] })
  return Float32Array.from([...logits, ...clip.logits.data])
}

/** @throws Error naming the first logit that differs by a bit */
function expectSame(name, got, want) {
  const differs = got.findIndex((value, index) => !Object.is(value, want[index]))
  if (differs >= 0)
    throw new Error(`${name} expected ${want[differs]} as logit ${differs}, got ${got[differs]}`)
}

const hex = (digest) =>
  Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Largest difference, relative to the largest number wanted. */
function distance(got, want) {
  const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return (
    got.reduce((most, value, index) => Math.max(most, Math.abs(value - want[index])), 0) / largest
  )
}
