/** Layers of flax.linen over the interface of operations, by the path of their weights. */
import type { Tensor } from '../program/program.ts'
import type { Recorder } from '../program/record.ts'

/** nn.Dense: x·kernel + bias, with the optional epilogue of `linear`. */
export function dense(
  ops: Recorder,
  name: string,
  x: Tensor,
  path: string,
  options: Omit<NonNullable<Parameters<Recorder['linear']>[3]>, 'bias'> = {},
): Tensor {
  return ops.linear(name, x, `${path}/kernel`, { bias: `${path}/bias`, ...options })
}

/** nn.LayerNorm. */
export function layerNorm(ops: Recorder, name: string, x: Tensor, path: string = name): Tensor {
  return ops.layerNorm(name, x, `${path}/scale`, `${path}/bias`)
}
