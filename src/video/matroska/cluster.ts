/**
 * Clusters of Matroska and WebM files, and the blocks in them.
 */

import type { Pieces } from '../container/pieces.ts'
import { type Element, elementsIn } from './elements.ts'

const [SIMPLE_BLOCK, BLOCK_GROUP, BLOCK] = [0xa3, 0xa0, 0xa1]

/** A cluster that is being parsed. */
export interface Cluster {
  readonly at: number
  /** null: unknown. */
  readonly end: number | null
  /** Whether it contained a block so far. */
  hasBlock: boolean
  /** Number of elements so far. */
  parts: number
}

/** Whether an element of a cluster contains packets. */
export function isBlock({ id }: Element): boolean {
  return id === SIMPLE_BLOCK || id === BLOCK_GROUP
}

/** Whether a cluster in memory contains a block of a track. */
export function hasBlock(
  { bytes, start }: Pick<Pieces, 'bytes' | 'start'>,
  { body, end }: Element,
  track: number,
): boolean {
  const to = Math.min(end! - start, bytes.length)
  for (const element of elementsIn(bytes, body - start, to)) {
    if (!isBlock(element)) continue
    const isGroup = element.id === BLOCK_GROUP
    for (const block of isGroup ? elementsIn(bytes, element.body, element.end) : [element]) {
      if (isGroup && block.id !== BLOCK) continue
      // Track numbers above 126 have more than one byte.
      const first = bytes[block.body] ?? 0
      if (first === (0x80 | track) || first < 0x80) return true
    }
  }
  return false
}
