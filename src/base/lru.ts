/**
 * A cache of values by key. It keeps at most `most` values: those that were used last.
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

  /** Returns the value of a key. Makes it if the cache does not have it. */
  get(key: Key, make: () => Value): Value {
    const found = this.#values.get(key)
    const value = found === undefined ? make() : found
    // Moves the key to the end. The first key of the map is then the least recently used one.
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#most) {
      const [oldest] = this.#values.keys()
      this.delete(oldest!)
    }
    return value
  }

  /** Drops the value of a key. With `only`, drops it only if it is still that value. */
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
