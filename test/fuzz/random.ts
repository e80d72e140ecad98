/** Repeatable random choices. The same seeds give the same choices on every machine. */
export class Random {
  #a: number
  #b: number
  #c: number
  #d: number

  /** @param seeds integers or text; each is hashed */
  constructor(...seeds: readonly (number | string)[]) {
    let hash = 0x811c9dc5
    for (const char of seeds.join('/')) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
    this.#a = hash
    this.#b = Math.imul(hash, 0x9e3779b1)
    this.#c = 0x2545f491
    this.#d = 1
    for (let i = 0; i < 12; i++) this.next()
  }

  /** The next number of sfc32, from 0 to 2^32 - 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#d++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** An integer from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.next() / 2 ** 32) * count)
  }

  /** Returns true with probability 1 / `times`. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  /** Returns an integer from 1 to `most`. Small ones are more likely. */
  few(most: number): number {
    return Math.max(1, Math.floor(most ** (this.next() / 2 ** 32)))
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() >>> 24)
  }
}
