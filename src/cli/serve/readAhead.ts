/** Bytes of messages that wait, of all sockets of a server together. */
export class ReadAhead {
  readonly #most: number
  bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  /** 1 when no more should be read. */
  get fill(): number {
    return this.bytes / this.#most
  }
}
