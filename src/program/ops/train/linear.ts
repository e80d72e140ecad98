import type { Tensor } from '../../tensor.ts'
import type { Operation, Sizes } from '../operation.ts'
import type { Activation } from '../products.ts'

interface Activate {
  readonly inputs: { readonly z: Tensor; readonly multiply?: Tensor }
  readonly params: { readonly activation: Activation; readonly activated: number }
}

interface LinearActivationGradient {
  readonly inputs: { readonly dy: Tensor; readonly at: Tensor }
  readonly outputs: { readonly dz: Tensor }
  readonly params: { readonly activation: Activation; readonly activated: number }
}

interface Activated {
  /** Number of columns, from the first, that the activation applies to; all by default. */
  readonly activated?: number
}

interface LinearGateGradient {
  readonly inputs: { readonly dy: Tensor; readonly at: Tensor; readonly multiply: Tensor }
  readonly outputs: { readonly dz: Tensor; readonly dmultiply: Tensor }
  readonly params: { readonly activation: Activation }
}

/** Values of `activation` in both kernels. */
const activations: Record<Activation, number> = { none: 0, gelu: 1, tanh: 2 }

/** Fills in the defaults: the activation applies to all columns. */
const activatedOf = (
  { activation = 'none', activated }: Partial<Activate['params']>,
  { n }: Sizes,
): Activate['params'] => ({
  activation,
  activated: activation === 'none' ? 0 : (activated ?? n!),
})

/**
 * out = f(z) ⊙ multiply; f applies to columns 0..activated−1 only. Gradients need z, so training
 * records linear without an activation, then activate. In the deterministic build out is
 * bit-identical to the result of linear with the activation.
 */
export const activate: Operation<
  Activate,
  [z: Tensor, activation: Activation, options?: Activated & { readonly multiply?: Tensor }]
> = {
  inputs: { z: 'rows n', multiply: 'rows n?' },
  params: ['activation'],
  outputs: { out: 'rows n' },
  complete: activatedOf,
  sizes: (_, { inputs, params }) => ({
    activation: activations[params.activation],
    multiplied: +!!inputs.multiply,
  }),
  fields: ['frameRows', 'n', 'activation', 'activated'],
  gpu: { fields: ['multiplied'] },
}

/**
 * Gradient of the activation f of linear: dz = dy ⊙ f'(z) in columns 0..activated−1, dz = dy in the
 * others. `at` is the argument z of gelu, or the result tanh z of tanh.
 */
export const linearActivationGradient: Operation<
  LinearActivationGradient,
  [dy: Tensor, at: Tensor, activation: Activation, options?: Activated]
> = {
  inputs: { dy: 'rows n', at: 'rows n' },
  params: ['activation'],
  outputs: { dz: 'rows n' },
  complete: activatedOf,
  sizes: (_, { params }) => ({ activation: activations[params.activation] }),
  fields: ['frameRows', 'n', 'activation', 'activated'],
}

/**
 * Gradients of linear with `multiply`, y = f(z) ⊙ multiply: dz = dy ⊙ multiply ⊙ f'(z) and
 * dmultiply = dy ⊙ f(z). `at` is z, or the result tanh z of tanh.
 */
export const linearGateGradient: Operation<
  LinearGateGradient,
  [dy: Tensor, at: Tensor, multiply: Tensor, activation: Activation]
> = {
  inputs: { dy: 'rows n', at: 'rows n', multiply: 'rows n' },
  params: ['activation'],
  outputs: { dz: 'rows n', dmultiply: 'rows n' },
  sizes: (_, { params }) => ({ activation: activations[params.activation] }),
  fields: ['frameRows', 'n', 'activation'],
}
