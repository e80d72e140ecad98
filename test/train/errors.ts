/**
 * Running error analysis: a number, and how far the result of a float32 kernel that does the same
 * operations may lie from it.
 */
import type { BackendUnderTest } from '../backends.ts'

export interface Near {
  readonly value: number
  readonly error: number
}

/** Operations on such numbers, for a backend. */
export class Errors {
  readonly #unit: number
  readonly #smallest: number

  constructor({ unit, smallest }: BackendUnderTest) {
    this.#unit = unit
    this.#smallest = smallest
  }

  /** A number of an input, which becomes 0 where it is smaller than the backend keeps. */
  exact(value: number): Near {
    return { value, error: Math.abs(value) < this.#smallest ? Math.abs(value) : 0 }
  }

  add(x: Near, y: Near): Near {
    return this.rounded(x.value + y.value, x.error + y.error)
  }

  subtract(x: Near, y: Near): Near {
    return this.rounded(x.value - y.value, x.error + y.error)
  }

  multiply(x: Near, y: Near): Near {
    const error = Math.abs(x.value) * y.error + Math.abs(y.value) * x.error + x.error * y.error
    return this.rounded(x.value * y.value, error)
  }

  product(...factors: Near[]): Near {
    return factors.reduce((x, y) => this.multiply(x, y))
  }

  divide(x: Near, y: Near): Near {
    const quotient = x.value / y.value
    const error = (x.error + Math.abs(quotient) * y.error) / (Math.abs(y.value) - y.error)
    return this.rounded(quotient, error)
  }

  root(x: Near): Near {
    const root = Math.sqrt(x.value)
    const below = root - Math.sqrt(Math.max(0, x.value - x.error))
    return this.rounded(root, Math.max(below, Math.sqrt(x.value + x.error) - root))
  }

  /** A result with the error that operands gave it, rounded `units` times. */
  rounded(value: number, error: number, units = 1): Near {
    return { value, error: error + units * this.#unit * (Math.abs(value) + error) + this.#smallest }
  }
}
