/**
 * Running error analysis: a number, and an error bound of a float32 kernel that does the same
 * operations.
 */
import type { BackendUnderTest } from '../backends.ts'

export interface Near {
  readonly value: number
  readonly error: number
}

/** Operations on such numbers with the precision of a backend. */
export class Errors {
  readonly #unit: number
  readonly #smallest: number

  constructor({ unit, smallest }: BackendUnderTest) {
    this.#unit = unit
    this.#smallest = smallest
  }

  /** Returns an exact input. Values below the backend's smallest number may become 0. */
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

  /** Returns a result with the error of its operands and `units` roundings. */
  rounded(value: number, error: number, units = 1): Near {
    return { value, error: error + units * this.#unit * (Math.abs(value) + error) + this.#smallest }
  }
}
