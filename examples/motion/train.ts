/**
 * npm run train:builtin -- [--steps n] [--peak rate] [--seed n] [--from file|scratch] [--out file]:
 * trains the built-in model on drawn streams, with the deterministic build.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { configOf } from '../../src/index.ts'
import type { Config } from '../../src/model/config.ts'
import { initialise, loadParameters } from '../../src/train/index.ts'
import { startWithFilters } from './filters.ts'
import { encodeHalves } from './halves.ts'
import { StreamLearner } from './learner.ts'
import { StreamSource } from './stream.ts'

/** Configuration of the built-in model. */
const config: Config = configOf('Ti', {
  width: 64,
  depth: 4,
  mlpDim: 256,
  numHeads: 4,
  lruWidth: 128,
  numClasses: 10,
  repSize: 256,
  imageSize: [96, 96],
  framesPerClip: 16,
})

/** Frames of the streams of a step, and their number. Most steps have short streams. */
const SIZES = [
  { b: 8, t: 16 },
  { b: 8, t: 16 },
  { b: 8, t: 16 },
  { b: 2, t: 64 },
]

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '2000' },
    peak: { type: 'string', default: '4e-4' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: 'examples/motion/start.safetensors' },
    out: { type: 'string', default: 'build/motion.safetensors' },
    log: { type: 'string', default: 'build/motion.csv' },
    threads: { type: 'string', default: '1' },
  },
})
const [steps, seed] = [Number(values.steps), Number(values.seed)]
const start =
  values.from === 'scratch'
    ? startWithFilters(initialise(config, seed), config, seed)
    : await loadParameters(await readFile(values.from), config)
const learner = await StreamLearner.create(config, start, {
  schedule: { peak: Number(values.peak), warmup: Math.ceil(steps / 20), steps },
  threads: Number(values.threads),
})
const source = new StreamSource(seed)
const lines = ['step,seconds,frames,loss,accuracy,learning_rate,gradient_norm']
const begin = performance.now()
let frames = 0
for (let i = 0; i < steps; i++) {
  const { b, t } = SIZES[i % SIZES.length]!
  const result = await learner.step(Array.from({ length: b }, () => source.draw(t)))
  const { step, loss, accuracy, learningRate, gradientNorm } = result
  frames += b * t
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  const rounded = [loss, accuracy, learningRate, gradientNorm].map((x) => x.toPrecision(4))
  lines.push([step, seconds, frames, ...rounded].join(','))
  if (step % 10 && step < steps) continue
  process.stderr.write(`${lines.at(-1)}\n`)
  if (step % 100 && step < steps) continue
  await writeFile(values.log, `${lines.join('\n')}\n`)
  await writeFile(values.out, await encodeHalves(config, await learner.parameters()))
}
await learner.dispose()
