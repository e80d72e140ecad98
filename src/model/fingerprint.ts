/**
 * A 64-bit hash of numbers and text: two 32-bit lanes, each multiply and rotate (the inner step of
 * MurmurHash3). It detects mistakes, not attacks.
 */
export class Hash {
  #one = 0x9747b28c
  #two = 0x3c6ef372

  constructor(text: string) {
    this.text(text)
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
  }

  /** Adds every step-th value, from `first` on. */
  add(values: Float32Array, first: number, step: number): void {
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
    for (let i = first; i < bits.length; i += step) this.#mix(bits[i]!)
  }

  /** Returns the hash as 16 hexadecimal digits. */
  digest(): string {
    return [this.#one, this.#two].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #mix(value: number): void {
    const k = Math.imul(value, 0xcc9e2d51)
    this.#one =
      (Math.imul(rotate(this.#one ^ Math.imul(rotate(k, 15), 0x1b873593), 13), 5) + 0xe6546b64) | 0
    this.#two =
      (Math.imul(rotate(this.#two ^ Math.imul(rotate(k, 17), 0x85ebca6b), 16), 5) + 0x38495ab5) | 0
  }
}

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits))
