import {
  blockUntilReady,
  type Array as JaxArray,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from '@jax-js/jax'
import type { Weights } from '../../src/onnx/weights.ts'
import {
  type Arrays,
  advanceFrame,
  arrayOf,
  carriedOf,
  constantsOf,
  logitsOf,
  startJax,
} from './jaxModel.ts'
import { pixelsOf, type Training, type TrainingPeer } from './trainingPeer.ts'

const BIAS = 'tokenizer/embedding/bias'

/**
 * Opens the loss of a clip and its gradients in jax-js on the CPU, as one `jit` function of
 * parameters and pixels, frame by frame. The parameters are not updated.
 * @param weights the parameters, as our programs read them
 */
export async function openJaxStep(
  { config, parameters, frames, label }: Training,
  weights: Weights,
): Promise<TrainingPeer> {
  const version = await startJax()
  const known = constantsOf(config, weights)
  // Weights that are functions of parameters are replaced by these parameters.
  const replace = (name: string, parameter: string) => {
    const { shape } = known[name]!
    known[name]!.dispose()
    known[name] = arrayOf(parameters.get(parameter)!, ...shape)
  }
  const decays = Object.keys(known).filter((name) => name.endsWith('/decay'))
  for (const name of decays) replace(name, name.replace('/decay', '/a_param'))
  replace('positions', 'tokenizer/pos_embedding')
  known[BIAS] = arrayOf(parameters.get(BIAS)!, config.width)

  const lossOf = (trained: Arrays, pixels: JaxArray[]): JaxArray => {
    const { [BIAS]: bias, ...all } = trained
    for (const name of decays) all[name] = nn.softplus(all[name]!).mul(-8)
    all['positions'] = all['positions']!.add(bias!)
    let carried = carriedOf(config)
    for (const [index, frame] of pixels.entries()) {
      const first = arrayOf(Float32Array.of(index === 0 ? 1 : 0), 1)
      carried = advanceFrame(config, all, carried, first, frame)
    }
    const { sum, ...rest } = carried
    tree.dispose(rest)
    const logits = logitsOf(all, sum!, arrayOf(Float32Array.of(pixels.length), 1))
    tree.dispose(all)
    // Within `jit`, the gradient of a slice with one number is wrong in jax-js 0.1.25.
    const target = Float32Array.from({ length: config.numClasses }, (_, c) => +(c === label))
    return np.sum(nn.logSoftmax(logits, -1).mul(arrayOf(target, 1, target.length))).mul(-1)
  }
  const step = jit(valueAndGrad(lossOf))
  const inputs = frames.map((frame) => arrayOf(pixelsOf(frame), ...config.imageSize, 3))
  let steps = 0
  return {
    version,
    updates: false,
    async step() {
      const [loss, gradients] = step(tree.ref(known), tree.ref(inputs)) as [JaxArray, Arrays]
      await blockUntilReady(gradients)
      // The first step is compared, and not timed.
      const gradientNorm = steps++ === 0 && (await normOf(gradients))
      tree.dispose(gradients)
      const [value] = (await loss.data()) as Float32Array
      return { loss: value!, ...(gradientNorm && { gradientNorm }) }
    },
    dispose() {
      tree.dispose(known)
      tree.dispose(inputs)
    },
  }
}

/** In double precision, because a sum of a million squares is not exact enough in single. */
async function normOf(arrays: Arrays): Promise<number> {
  let sum = 0
  for (const array of Object.values(arrays))
    for (const value of (await array.ref.data()) as Float32Array) sum += value * value
  return Math.sqrt(sum)
}
