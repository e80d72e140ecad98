/**
 * How gradients pass through each operation: from those of its outputs to those of its inputs and
 * weights. The formulas are with the operations of training (src/program/ops/train).
 */
import { TrecvitError } from '../base/error.ts'
import { columnsOf, type Op, type StepOf, type Tensor } from '../program/program.ts'
import type { Tape } from './tape.ts'
import { asMatrix } from './views.ts'

/** @param dy gradient of `out` */
type Rule<O extends Op> = (tape: Tape, step: StepOf<O>, dy: Tensor) => void

/** Rules of the operations that a trained weight may come before. */
export const rules: { readonly [O in Op]?: Rule<O> } = {
  linear(tape, { name, inputs, weights, params, outputs }, dy) {
    const { ops } = tape
    const { activation, activated } = params
    const { x, add } = inputs
    tape.add(add, () => dy)
    tape.addWeight(weights.table, () => ops.sumFrames(`${at(name)}/dtable`, dy))
    const dz =
      activation === 'none'
        ? dy
        : ops.linearActivationGradient(`${at(name)}/dz`, dy, outputs.out, activation, {
            activated,
          }).dz
    tape.addWeight(weights.bias, () => ops.sumRows(`${at(name)}/dbias`, dz))
    tape.addWeight(
      weights.kernel,
      () => ops.linearKernelGradient(`${at(name)}/dkernel`, x, dz).dkernel,
    )
    tape.add(
      x,
      () => ops.linearInputGradient(`${at(name)}/dx`, dz, weights.kernel.name, tape.take(x)).dx,
    )
  },

  activate(tape, { name, inputs: { z, multiply }, params: { activation, activated } }, dy) {
    const { ops } = tape
    if (!multiply)
      return tape.add(
        z,
        () => ops.linearActivationGradient(`${at(name)}/dz`, dy, z, activation, { activated }).dz,
      )
    const { dz, dmultiply } = ops.linearGateGradient(at(name), dy, z, multiply, activation)
    tape.add(z, () => dz)
    tape.add(multiply, () => dmultiply)
  },

  blockLinear(tape, { name, inputs: { x }, weights: { kernel, bias } }, dy) {
    const { ops } = tape
    const { blocks } = kernel
    tape.addWeight(bias, () => asMatrix(ops.sumRows(`${at(name)}/dbias`, dy), bias.columns))
    tape.addWeight(
      kernel,
      () => ops.linearKernelGradient(`${at(name)}/dkernel`, x, dy, { blocks }).dkernel,
    )
    tape.add(x, () => ops.linearInputGradient(`${at(name)}/dx`, dy, kernel.name, tape.take(x)).dx)
  },

  rmsNorm(tape, { name, inputs: { x }, weights: { scale } }, dy) {
    const { ops } = tape
    const { dx, dscale } = ops.rmsNormGradient(at(name), x, dy, scale.name)
    tape.addWeight(scale, () => ops.sumRows(`${at(name)}/dscale/sum`, dscale))
    tape.add(x, () => dx)
  },

  layerNorm(tape, { name, inputs: { x }, weights: { scale, bias } }, dy) {
    const { ops } = tape
    const { dx, dscale } = ops.layerNormGradient(at(name), x, dy, scale.name)
    tape.addWeight(scale, () => ops.sumRows(`${at(name)}/dscale/sum`, dscale))
    tape.addWeight(bias, () => ops.sumRows(`${at(name)}/dbias`, dy))
    tape.add(x, () => dx)
  },

  attention(tape, { name, inputs: { q, k, v }, outputs, params: { heads } }, dy) {
    const { dq, dk, dv } = tape.ops.attentionGradient(at(name), q, k, v, outputs.out, dy, heads)
    tape.add(q, () => dq)
    tape.add(k, () => dk)
    tape.add(v, () => dv)
  },

  conv1d(tape, { name, inputs: { x }, weights: { kernel, bias }, states }, dy) {
    const { ops } = tape
    const past = tape.carried(states.past)
    const { dx, dkernel } = ops.conv1dGradient(at(name), x, dy, kernel.name, {
      ...(past && { past }),
    })
    tape.addWeight(kernel, () =>
      asMatrix(ops.sumRows(`${at(name)}/dkernel/sum`, dkernel), kernel.columns),
    )
    tape.addWeight(bias, () => ops.sumRows(`${at(name)}/dbias`, dy))
    tape.add(x, () => dx)
  },

  rgLru(tape, { name, inputs: { v, gates, y }, weights: { decay }, states, params }, dy) {
    const { ops } = tape
    const e = columnsOf(v)
    // Beside the state, the gradient of the state after the chunk: 0, because it is truncated.
    const carried = tape.carried(states.s, 2 * e)
    const { dinputs, dcarried } = ops.rgLruGradient(
      ...([at(name), v, gates, y, dy, decay.name, params.heads, !carried] as const),
      { ...(carried && { carried }) },
    )
    tape.addWeight(decay, () => ops.sumRows(`${at(name)}/ddecay`, ops.columns(dcarried, e, e)))
    tape.add(gates, () => ops.columns(dinputs, 0, 2 * e))
    tape.add(v, () => ops.columns(dinputs, 2 * e, e))
    tape.add(y, () => ops.columns(dinputs, 3 * e, e))
  },

  pool(tape, { name, inputs: { x } }, dy) {
    const [, , n] = x.shape
    tape.add(x, () => tape.ops.poolGradient(at(name), dy, n!, n!).dx)
  },

  gather(tape, { name, inputs: { x, index } }, dy) {
    const [, , n] = x.shape
    tape.add(x, () => tape.ops.scatter(at(name), dy, index, n!))
  },

  scatter(tape, { name, inputs: { x, index }, weights: { token } }, dy) {
    tape.addWeight(token, () => {
      throw new TrecvitError(
        `scatter "${name}" expected a token that is not trained; add a trained one by linear, ` +
          'with an input that is 1 where the token stands',
      )
    })
    tape.add(x, () => tape.ops.gather(at(name), dy, index))
  },
}

/** Returns the name of the gradient of a step. */
function at(name: string): string {
  return `gradient/${name}`
}
