import type { Tensor } from '../../tensor.ts'
import { perRow } from '../launch.ts'
import type { Operation } from '../operation.ts'

interface CrossEntropy {
  readonly inputs: { readonly logits: Tensor; readonly targets: Tensor }
  readonly outputs: { readonly loss: Tensor; readonly dlogits: Tensor }
}

interface SquaredError {
  readonly inputs: {
    readonly prediction: Tensor
    readonly target: Tensor
    readonly weight: Tensor
  }
  readonly outputs: { readonly loss: Tensor; readonly dprediction: Tensor }
}

/**
 * Cross-entropy and its gradient, row by row. With targets q ≥ 0 and their sum w, which is the
 * weight of the row: loss = w · log Σ e^logits − Σ q · logits, and
 * dlogits = w · softmax(logits) − q.
 */
export const crossEntropy: Operation<CrossEntropy, [logits: Tensor, targets: Tensor]> = {
  inputs: { logits: 'rows c', targets: 'rows c' },
  outputs: { loss: 'rows 1', dlogits: 'rows c' },
  fields: ['c', 'frameRows'],
  gpu: { fields: ['rows'], groups: perRow },
}

/**
 * Squared error and its gradient, row by row: loss = weight · Σ (prediction − target)² and
 * dprediction = 2 · weight · (prediction − target).
 */
export const squaredError: Operation<
  SquaredError,
  [prediction: Tensor, target: Tensor, weight: Tensor]
> = {
  inputs: { prediction: 'rows n', target: 'rows n', weight: 'rows 1' },
  outputs: { loss: 'rows 1', dprediction: 'rows n' },
  fields: ['n', 'frameRows'],
  gpu: { fields: ['rows'], groups: perRow },
}
