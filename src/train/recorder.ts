import { TrecvitError } from '../base/error.ts'
import type * as operations from '../program/ops/train/index.ts'
import type { Program, Tensor } from '../program/program.ts'
import { type Methods, Recorder } from '../program/record.ts'
import { TRAINING_OPS } from './operations.ts'
import { withoutUnused } from './unused.ts'

/** A recorder that also has the methods of the operations of training. */
export interface TrainingRecorder extends Methods<typeof operations> {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the static block defines the methods
export class TrainingRecorder extends Recorder {
  static {
    TrainingRecorder.define(TrainingRecorder.prototype, TRAINING_OPS)
    Object.defineProperty(TrainingRecorder.prototype, 'linear', { value: linear })
  }

  /** As Recorder.end, without steps whose results nothing reads. */
  override end(outputs: Record<string, Tensor>): Program {
    return withoutUnused(super.end(outputs))
  }
}

const product = Recorder.prototype.linear

/**
 * `linear`, with gelu and `multiply` as a step of its own: their gradients read what comes before
 * them. The gradient of tanh reads its result, so tanh stays part of the product.
 */
function linear(
  this: TrainingRecorder,
  name: string,
  x: Tensor,
  kernel: string,
  options: Parameters<Recorder['linear']>[3] = {},
): Tensor {
  const { activation = 'none', activated, multiply, add, table, ...rest } = options
  if (activation !== 'gelu' && !multiply) return product.call(this, name, x, kernel, options)
  if (add || table)
    throw new TrecvitError(`linear "${name}" expected no "add" or "table" after gelu or "multiply"`)
  if (activation === 'tanh') {
    const y = product.call(this, `${name}/y`, x, kernel, { ...rest, activation })
    return this.activate(name, y, 'none', { ...(multiply && { multiply }) })
  }
  const z = product.call(this, `${name}/z`, x, kernel, rest)
  return this.activate(name, z, activation, {
    ...(activated !== undefined && { activated }),
    ...(multiply && { multiply }),
  })
}
