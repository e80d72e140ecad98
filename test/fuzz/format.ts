/** What the fuzz knows of a format. */
import type { Group, Written } from './parts.ts'
import type { Random } from './random.ts'

/** What a case offered, apart from refusing it. */
export interface Opened {
  /** Bytes of decoded pictures, which may take memory in addition to the bound. */
  readonly decoded?: number
}

/** A parser, and files that it takes. */
export interface Format {
  readonly name: string
  /** Trees of files that open, new ones for each call; the first must open. */
  readonly seeds: readonly (() => Group)[]
  /** Elements inside each other to a depth. */
  readonly nest?: (random: Random, depth: number) => Uint8Array
  /**
   * Gives the file to the parser and uses all that comes out.
   * @throws TrecvitError if the parser refuses it
   */
  open(file: Written, random: Random): Promise<Opened | void>
}
