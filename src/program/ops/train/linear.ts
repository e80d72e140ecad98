import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'
import type { Activation } from '../products.ts'

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
  complete: ({ activation = 'none', activated }, { n }) => ({
    activation,
    activated: activation === 'none' ? 0 : (activated ?? n!),
  }),
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
