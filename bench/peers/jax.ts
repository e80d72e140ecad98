import { type Array as JaxArray, jit, tree } from '@jax-js/jax'
import type { Config } from '../../src/model/config.ts'
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
import type { Peer } from './peer.ts'

/**
 * Opens a stream in jax-js on the CPU: one frame is one `jit` function of weights, carried arrays
 * and pixels.
 */
export async function openJax(config: Config, weights: Weights): Promise<Peer> {
  const version = await startJax()
  const constants = constantsOf(config, weights)
  const step = jit(
    (known: Arrays, carried: Arrays, first: JaxArray, count: JaxArray, pixels: JaxArray) => {
      const next = advanceFrame(config, known, carried, first, pixels)
      const logits = logitsOf(known, next['sum']!.ref, count)
      tree.dispose(known)
      return [logits, next] as [JaxArray, Arrays]
    },
  )
  let carried = carriedOf(config)
  let frame = 0
  return {
    version,
    async advance(pixels) {
      const [logits, next] = step(
        tree.ref(constants),
        carried,
        arrayOf(Float32Array.of(frame === 0 ? 1 : 0), 1),
        arrayOf(Float32Array.of(++frame), 1),
        arrayOf(pixels, ...config.imageSize, 3),
      ) as [JaxArray, Arrays]
      carried = next
      return (await logits.data()) as Float32Array
    },
  }
}
