/**
 * Reads the bits of a NAL unit (H.264 7.2, HEVC 9.2), without its emulation prevention bytes.
 */
export class Bits {
  readonly #bytes: number[] = []
  #at = 0

  /** @param from index of the first byte to read */
  constructor(unit: Uint8Array, from: number) {
    let zeros = 0
    for (const byte of unit.subarray(from)) {
      const isEmulation = zeros >= 2 && byte === 3
      zeros = byte === 0 ? zeros + 1 : 0
      if (!isEmulation) this.#bytes.push(byte)
    }
  }

  /** True if more bits were read than the unit has. */
  get isOver(): boolean {
    return this.#at > 8 * this.#bytes.length
  }

  flag(): boolean {
    return this.read(1) === 1
  }

  /** Reads an unsigned number of up to 32 bits. */
  read(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#at++)
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1)
    return value
  }

  skip(count: number): void {
    this.#at += count
  }

  /** Reads an unsigned Exp-Golomb code. Signed ones are only skipped. */
  golomb(): number {
    let zeros = 0
    while (!this.flag()) if (++zeros > 31) return 0
    return 2 ** zeros - 1 + this.read(zeros)
  }
}
