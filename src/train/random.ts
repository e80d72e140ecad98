/**
 * Random numbers that are the same in every runtime: they come from integers, and from operations
 * that IEEE 754 rounds exactly (+ − × ÷ √). `Math.log` and similar functions differ between
 * runtimes.
 */
import { TrecvitError } from '../base/error.ts'

/** State of a generator: four integers of 32 bits. */
export type RandomState = readonly [number, number, number, number]

/**
 * A seeded generator, xoshiro128++ 1.0 (Blackman and Vigna, https://prng.di.unimi.it).
 * @example
 * const random = new Random(1)
 * const noise = Float32Array.from({ length: 100 }, () => random.normal())
 */
export class Random {
  readonly #state: [number, number, number, number]
  /** The second number of a pair of normal ones. */
  #spare: number | null = null

  /**
   * @param seed an integer, 0 to 2³² − 1, or the state of another generator
   * @throws TrecvitError if the seed is something else
   */
  constructor(seed: number | RandomState) {
    if (typeof seed !== 'number') {
      this.#state = [...seed]
      return
    }
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff)
      throw new TrecvitError(`Seed ${seed} is not accepted: give an integer from 0 to 4294967295`)
    let value = seed
    this.#state = [0, 0, 0, 0]
    for (let i = 0; i < 4; i++) this.#state[i] = mix((value = (value + 0x9e3779b9) >>> 0))
  }

  /** The state that `new Random` continues from. A spare normal number is dropped. */
  get state(): RandomState {
    return [...this.#state]
  }

  /** The next integer, 0 to 2³² − 1. */
  integer(): number {
    const s = this.#state
    const result = (rotate((s[0] + s[3]) >>> 0, 7) + s[0]) >>> 0
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotate(s[3], 11)
    return result
  }

  /** A number from 0 to below 1, a multiple of 2⁻⁵³. */
  uniform(): number {
    const high = this.integer() >>> 5
    const low = this.integer() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  /** An integer from 0 to below `end`, all equally likely to 2⁻³². */
  below(end: number): number {
    return Math.floor(this.uniform() * end)
  }

  /** A number of mean 0 and standard deviation 1 (Marsaglia's polar method). */
  normal(): number {
    if (this.#spare !== null) {
      const spare = this.#spare
      this.#spare = null
      return spare
    }
    for (;;) {
      const u = 2 * this.uniform() - 1
      const v = 2 * this.uniform() - 1
      const s = u * u + v * v
      if (s >= 1 || s === 0) continue
      const factor = Math.sqrt((-2 * ln(s)) / s)
      this.#spare = v * factor
      return u * factor
    }
  }

  /** A normal number that lies within two standard deviations, before it is scaled. */
  truncatedNormal(): number {
    for (;;) {
      const value = this.normal()
      if (Math.abs(value) <= 2) return value
    }
  }

  /** The integers from 0 to `count` − 1 in random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const moved = order[i]!
      order[i] = order[j]!
      order[j] = moved
    }
    return order
  }
}

/**
 * Natural logarithm of a positive number, to 2 units in the last place: x = m·2ᵉ with m in √½..√2,
 * ln x = e·ln 2 + 2·artanh((m − 1)/(m + 1)).
 */
export function ln(x: number): number {
  let m = x
  let e = 0
  for (; m > Math.SQRT2; m /= 2) e++
  for (; m < Math.SQRT1_2; m *= 2) e--
  const f = (m - 1) / (m + 1)
  const square = f * f
  let sum = 0
  for (let k = 21; k >= 1; k -= 2) sum = sum * square + 1 / k
  return e * Math.LN2 + 2 * f * sum
}

function rotate(x: number, bits: number): number {
  return ((x << bits) | (x >>> (32 - bits))) >>> 0
}

/** Spreads the bits of an integer (the finaliser of MurmurHash3). */
function mix(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
