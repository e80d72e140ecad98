import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { Source } from './source.ts'

/**
 * Every source calls this before it touches memory or the network.
 * @throws TrecvitError when `length` bytes from `offset` on are not all inside the source
 */
export function checkRange(source: Source, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= source.size) return
  throw new TrecvitError(
    `Checkpoint ${quote(source.name)} has ${source.size} bytes, ` +
      `but bytes ${offset} to ${offset + length} are needed: it is cut short or damaged`,
  )
}
