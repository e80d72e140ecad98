import type { Sizes } from './ops/operation.ts'
import { frameStrideOf, type State, type Tensor, type Weight } from './tensor.ts'

/** A step while it is recorded. */
export interface Open {
  readonly name: string
  readonly inputs: Record<string, Tensor>
  readonly weights: Record<string, Weight>
  readonly states: Record<string, State>
  params: Readonly<Record<string, unknown>>
}

/** A step as steps that compute one frame each, with names that end in the frame. */
export function framesOf<S extends Open & { output: Tensor; sizes: Sizes }>(step: S): S[] {
  const { name, inputs, output, sizes } = step
  const frames = sizes['frames']!
  return Array.from({ length: frames }, (_, frame) => ({
    ...step,
    name: `${name}/${frame}`,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([role, input]) => [role, frameOf(input, frame)]),
    ),
    output: frameOf(output, frame),
    sizes: {
      ...sizes,
      ...{ b: 1, t: 1, frames: 1, rows: sizes['rows']! / frames, count: sizes['count']! / frames },
    },
  }))
}

/** Frame `frame` of x [b, t, n, d], as [1, 1, n, d], without a copy. */
function frameOf(x: Tensor, frame: number): Tensor {
  const { buffer, offset, shape, stride } = x
  const from = offset + frame * frameStrideOf(x)
  return { buffer, offset: from, shape: [1, 1, ...shape.slice(2)], stride }
}
