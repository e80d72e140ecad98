/**
 * Chooses the video track of a Matroska or WebM file. Everything that mediabunny 1.61 does not need
 * or support becomes padding.
 */
import { type Element, elementsIn, unsignedOf, voidHeader } from './elements.ts'

/** The chosen video track. */
export interface MatroskaTrack {
  readonly number: number
  /** True if every packet is compressed with zlib. */
  readonly isDeflated: boolean
  /** Why the packets are not supported, and what to do; null if they are. */
  readonly fault: string | null
  /** MatrixCoefficients (ISO 23091-2), and ChromaSitingHorz and ChromaSitingVert. */
  readonly matrix: number | null
  readonly siting: readonly [horizontal: number, vertical: number]
}

/** Names of tracks by type. */
const TYPES: Readonly<Record<number, string>> = { 2: 'audio', 17: 'subtitles' }
const ALGORITHMS: readonly string[] = ['zlib', 'bzip2', 'lzo1x', 'header stripping']
const [ZLIB, STRIPPING] = [0, 3]
const REMUX = 'convert it with ffmpeg -i INPUT -c copy OUTPUT.mkv'

const ID = {
  entry: 0xae,
  number: 0xd7,
  type: 0x83,
  isDefault: 0x88,
  video: 0xe0,
  colour: 0x55b0,
  matrix: 0x55b1,
  sitingX: 0x55b7,
  sitingY: 0x55b8,
  encodings: 0x6d80,
  encoding: 0x6240,
  scope: 0x5032,
  compression: 0x5034,
  algorithm: 0x4254,
  encryption: 0x5035,
} as const

/**
 * @param tracks the Tracks element with its header; changed in place
 * @returns the track, or the kinds of tracks if none is a video
 */
export function readTracks(tracks: Uint8Array): MatroskaTrack | string[] {
  const [whole] = elementsIn(tracks, 0, tracks.length)
  let chosen: { entry: Element & { end: number }; isDefault: boolean } | null = null
  const kinds = new Set<string>()
  for (const entry of elementsIn(tracks, whole?.body ?? 0, whole?.end ?? 0)) {
    const type = entry.id === ID.entry ? field(tracks, entry, ID.type, 0) : 0
    const isDefault = type === 1 && field(tracks, entry, ID.isDefault, 1) === 1
    if (TYPES[type] !== undefined) kinds.add(TYPES[type])
    if (type === 1 && (chosen === null || (isDefault && !chosen.isDefault))) {
      if (chosen !== null) blank(tracks, chosen.entry)
      chosen = { entry, isDefault }
    } else blank(tracks, entry)
  }
  if (chosen === null) return [...kinds]
  const { entry } = chosen
  const encoding = readEncodings(tracks, entry)
  const colour = child(tracks, child(tracks, entry, ID.video), ID.colour)
  const of = (id: number, otherwise: number): number =>
    colour === null ? otherwise : field(tracks, colour, id, otherwise)
  const matrix = of(ID.matrix, -1)
  return {
    number: field(tracks, entry, ID.number, 0),
    ...encoding,
    matrix: matrix < 0 ? null : matrix,
    siting: [of(ID.sitingX, 0), of(ID.sitingY, 0)],
  }
}

/** Reads the content encodings. mediabunny supports header stripping. */
function readEncodings(
  tracks: Uint8Array,
  entry: Element,
): { isDeflated: boolean; fault: string | null } {
  const encodings = child(tracks, entry, ID.encodings)
  if (encodings === null) return { isDeflated: false, fault: null }
  const all = [...elementsIn(tracks, encodings.body, encodings.end)]
    .filter(({ id }) => id === ID.encoding)
    .slice(0, 8)
  if (all.some((encoding) => child(tracks, encoding, ID.encryption) !== null))
    return { isDeflated: false, fault: 'encrypted: give a copy without protection' }
  const algorithms = all.map((encoding) => {
    const compression = child(tracks, encoding, ID.compression)
    return {
      scope: field(tracks, encoding, ID.scope, 1),
      algorithm: compression === null ? STRIPPING : field(tracks, compression, ID.algorithm, ZLIB),
    }
  })
  if (algorithms.every(({ algorithm, scope }) => algorithm === STRIPPING && scope === 1))
    return { isDeflated: false, fault: null }
  if (algorithms.length === 1 && algorithms[0]!.algorithm === ZLIB && algorithms[0]!.scope === 1) {
    blank(tracks, encodings)
    return { isDeflated: true, fault: null }
  }
  const names = algorithms.map(({ algorithm }) => ALGORITHMS[algorithm] ?? `method ${algorithm}`)
  return {
    isDeflated: false,
    fault: `compressed with ${names.join(' and ')}: ${REMUX}`,
  }
}

function child(
  bytes: Uint8Array,
  parent: Element | null,
  id: number,
): (Element & { readonly end: number }) | null {
  if (parent === null) return null
  for (const element of elementsIn(bytes, parent.body, parent.end!))
    if (element.id === id) return element
  return null
}

function field(bytes: Uint8Array, parent: Element, id: number, otherwise: number): number {
  const element = child(bytes, parent, id)
  return element === null ? otherwise : unsignedOf(bytes, element)
}

function blank(bytes: Uint8Array, { at, end }: Element): void {
  bytes.set(voidHeader(end! - at), at)
}
