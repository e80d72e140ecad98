/** Definition of a format for the fuzzer. */
import type { Group, Written } from './parts.ts'
import type { Random } from './random.ts'

/** Result of a case that was accepted. */
export interface Opened {
  /** Bytes of decoded pictures, which are allowed in addition to the memory bound. */
  readonly decoded?: number
}

/** A parser with valid files. */
export interface Format {
  readonly name: string
  /** Functions that return new trees of valid files. The first file must open. */
  readonly seeds: readonly (() => Group)[]
  /** Returns elements that are nested to this depth. */
  readonly nest?: (random: Random, depth: number) => Uint8Array
  /**
   * Parses the file and uses all results.
   * @throws TrecvitError if the parser refuses it
   */
  open(file: Written, random: Random): Promise<Opened | void>
}
