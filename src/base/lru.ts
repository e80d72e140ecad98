/**
 * Values made on demand, of which the `most` that were used last are kept.
 * @param evicted called with each value that is dropped
 */
export class Lru<Key, Value> {
  readonly #most: number
  readonly #evicted: (value: Value) => void
  readonly #values = new Map<Key, Value>()

  constructor(most: number, evicted: (value: Value) => void = () => {}) {
    this.#most = most
    this.#evicted = evicted
  }

  get size(): number {
    return this.#values.size
  }

  /** The value of a key, made if it is not kept. */
  get(key: Key, make: () => Value): Value {
    const found = this.#values.get(key)
    const value = found === undefined ? make() : found
    // Last in the order of the map, whose first entry is the one that was not used for longest.
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#most) {
      const [oldest] = this.#values.keys()
      this.delete(oldest!)
    }
    return value
  }

  /** Drops the value of a key, or only if it still is this one. */
  delete(key: Key, only?: Value): void {
    const value = this.#values.get(key)
    if (value === undefined || (only !== undefined && value !== only)) return
    this.#values.delete(key)
    this.#evicted(value)
  }

  /** Drops all values. */
  clear(): void {
    for (const key of [...this.#values.keys()]) this.delete(key)
  }
}
