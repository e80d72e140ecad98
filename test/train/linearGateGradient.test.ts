import { noise, type OpCase, testOp } from '../ops.ts'
import { gelu } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { casesOf, input, nameOf, type Problem, slopeError } from './ends.ts'

function linearGateGradient(p: Problem): OpCase {
  const { b = 1, t = 1, rows, n, activation } = p
  const count = b * t * rows * n
  const at = p.at ?? noise(count, 1, activation === 'tanh' ? 1 : 4)
  const dy = p.dy ?? noise(count, 2)
  const multiply = noise(count, 3)
  return {
    ...{ name: nameOf(p), b, t },
    inputs: { dy: input(p, dy), at: input(p, at), multiply: input(p, multiply) },
    record: (ops, { dy, at, multiply }) =>
      ops.linearGateGradient('op', dy!, at!, multiply!, activation),
    bound(precision, want, output) {
      const { unit, smallest } = precision
      const tiny = (i: number) => smallest * (3 + Math.abs(dy[i]!) + Math.abs(at[i]!))
      if (output === 'dz')
        return want.map(
          (value, i) =>
            Math.abs(dy[i]! * multiply[i]!) * slopeError(activation, at[i]!, precision) +
            2 * unit * Math.abs(value) +
            tiny(i),
        )
      return want.map((value, i) => {
        // As in test/linear.test.ts.
        const z = at[i]!
        const argument = 2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)
        const error =
          activation === 'gelu'
            ? (gelu(z) && (7 * Math.abs(argument) + 8) * unit * Math.abs(gelu(z))) +
              Math.min(Math.abs(z), 64) * 2 ** -126
            : 0
        return Math.abs(dy[i]!) * error + unit * Math.abs(value) + tiny(i)
      })
    },
  }
}

// Goldens are in linear.test.ts.
testOp('sizes and extreme values', casesOf(linearGateGradient), trainingBackends, trainingTeam)
