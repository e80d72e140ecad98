/** Counts the bytes of waiting messages of all sockets of a server. */
export class ReadAhead {
  readonly #most: number
  bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Fill level. At 1 or more, stop reading. */
  get fill(): number {
    return this.bytes / this.#most
  }
}
