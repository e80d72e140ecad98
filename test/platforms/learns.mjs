/** What a runtime makes of training: through the public interface alone. */

const [CLIPS, FRAMES, SIDE, CLASSES, STEPS] = [3, 4, 48, 3, 4]

/**
 * Trains a small model on noise.
 * @param configOf of the package
 * @param train the entry `trecvit/train`
 * @param options.threads numbers of threads to try, one after the other
 * @param options.options further options of a trainer
 * @returns the parameters after some steps, one after the other. They must not depend on threads
 */
export function learned(configOf, train, options) {
  const config = smallConfig(configOf)
  const start = train.initialise(config, 1)
  return parametersOf(batchOf(), options, (given) => train.Trainer.create(config, start, given))
}

/**
 * Trains a small masked auto-encoder on noise, in micro-batches of two sizes.
 * @returns as `learned`, the averages of the parameters
 */
export function pretrained(configOf, train, options) {
  const config = smallConfig(configOf)
  const decoder = { width: 24, depth: 1, mlpDim: 48, numHeads: 2 }
  const start = train.initialiseMasked(config, decoder, 1)
  const { frames } = batchOf()
  return parametersOf({ frames }, options, (given) =>
    train.MaskedTrainer.create(config, decoder, start, { ...given, microBatch: 2, ema: 0.5 }),
  )
}

function smallConfig(configOf) {
  return configOf('mu', {
    ...{ width: 48, depth: 2, mlpDim: 96, numHeads: 3, numClasses: CLASSES, repSize: 40 },
    ...{ imageSize: [SIDE, SIDE], framesPerClip: FRAMES },
  })
}

async function parametersOf(batch, { threads, options = {} }, create) {
  let want
  for (const count of threads) {
    const trainer = await create({
      schedule: { peak: 1e-3, warmup: 1, steps: STEPS },
      threads: count,
      ...options,
    })
    for (let step = 0; step < STEPS; step++) await trainer.step(batch)
    const parameters = [...(await trainer.parameters()).values()]
    await trainer.dispose()
    const all = Float32Array.from(parameters.flatMap((values) => [...values]))
    want ??= all
    const differs = all.findIndex((value, index) => !Object.is(value, want[index]))
    if (differs >= 0)
      throw new Error(
        `parameter ${differs} after training on ${count} threads expected ${want[differs]}, ` +
          `got ${all[differs]}`,
      )
  }
  return want
}

/** Returns random variants of a clip of noise, one after the other. */
export function augmented({ augment }) {
  const { data, shape } = batchOf().frames
  const clip = { data, shape: [CLIPS * FRAMES, ...shape.slice(2)] }
  const options = { size: [40, 32], flip: true, frames: 4, stride: [1, 3] }
  return Uint8Array.from([1, 2, 3].flatMap((seed) => [...augment(clip, { ...options, seed }).data]))
}

function batchOf() {
  let seed = 1
  const data = Uint8Array.from(
    { length: CLIPS * FRAMES * SIDE * SIDE * 3 },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  )
  const targets = Array.from({ length: CLIPS }, (_, clip) => clip % CLASSES)
  return { frames: { data, shape: [CLIPS, FRAMES, SIDE, SIDE, 3] }, targets }
}
