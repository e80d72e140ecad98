/**
 * Ids of the top-level elements of Matroska and WebM files (RFC 9559 5.1).
 */
export const ID = {
  ebml: 0x1a45dfa3,
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  info: 0x1549a966,
  tracks: 0x1654ae6b,
  cluster: 0x1f43b675,
  cues: 0x1c53bb6b,
  attachments: 0x1941a469,
  chapters: 0x1043a770,
  tags: 0x1254c367,
  void: 0xec,
  crc: 0xbf,
} as const

/** Elements of a segment, except padding and checksums. */
const LEVEL_1: ReadonlySet<number> = new Set([
  ID.seekHead,
  ID.info,
  ID.tracks,
  ID.cluster,
  ID.cues,
  ID.attachments,
  ID.chapters,
  ID.tags,
])

/** Whether an element belongs to a segment. Padding and checksums are not included. */
export function isLevel1(id: number): boolean {
  return LEVEL_1.has(id)
}

/** Whether an element ends a cluster of unknown size. */
export function isTop(id: number): boolean {
  return LEVEL_1.has(id) || id === ID.ebml || id === ID.segment
}

/** Largest accepted number of elements in a cluster. A cluster lasts at most 65 s. */
export const MAX_PARTS: number = 2 ** 15
