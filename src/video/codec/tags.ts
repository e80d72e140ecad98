/**
 * Colour tags of a video, from the container or else from the stream.
 */

import type { Decoded } from '../decoder/track.ts'
import { type Colour, JFIF, RGB, untaggedMatrix } from '../frame.ts'
import type { Sps } from './sps.ts'

/** Colour tags of a file. */
export interface Tags {
  /** null: untagged, or not supported. */
  readonly matrix: Colour['matrix'] | null
  readonly fullRange: boolean | null
  readonly siting: Colour['siting']
  /** Tags that are not supported, as clauses. */
  readonly faults: readonly string[]
}

/** Matrices by matrix_coefficients (ISO 23091-2). 2 is "unspecified". */
const MATRICES: Readonly<Record<number, Colour['matrix']>> = {
  0: 'rgb',
  1: 'bt709',
  4: 'fcc',
  5: 'bt601',
  6: 'bt601',
  7: 'smpte240m',
  9: 'bt2020',
  10: 'bt2020',
}
const UNSPECIFIED = 2
const CONSTANT_LUMINANCE = 10
const NAMES: Readonly<Record<number, string>> = {
  8: 'YCgCo',
  11: 'SMPTE ST 2085',
  12: 'derived from primaries',
  13: 'derived from primaries',
  14: 'ICtCp',
}
/** Matrices by their names in mediabunny and FFmpeg. */
const NAMED: Readonly<Record<string, Colour['matrix']>> = {
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  'bt2020-ncl': 'bt2020',
  rgb: 'rgb',
  bt2020nc: 'bt2020',
  smpte240m: 'smpte240m',
  fcc: 'fcc',
  gbr: 'rgb',
}
/** chroma_sample_loc_type (H.264 E.2.1). */
const SITINGS: readonly (Colour['siting'] | null)[] = [
  'left',
  'center',
  'topleft',
  null,
  null,
  null,
]

/**
 * @param space colour space that mediabunny reads
 * @param codec codec string of RFC 6381
 * @param sps parameter set of the stream, if it has one
 * @param container matrix_coefficients and chroma_sample_loc_type of the container
 */
export function readTags(
  space: VideoColorSpaceInit,
  codec: string,
  sps: Sps | null,
  container: { matrix: number | null; siting: number | null },
): Tags {
  const faults: string[] = []
  const parts = codec.split('.')
  const inCodec = parts[0] === 'vp09' ? parts[7] : parts[0] === 'av01' ? parts[8] : undefined
  const code =
    container.matrix ?? sps?.matrix ?? (inCodec === undefined ? UNSPECIFIED : Number(inCodec))
  const matrix = NAMED[space.matrix ?? ''] ?? MATRICES[code] ?? null
  if (
    space.matrix == null &&
    code !== UNSPECIFIED &&
    (matrix === null || code === CONSTANT_LUMINANCE)
  ) {
    const name =
      code === CONSTANT_LUMINANCE
        ? 'BT.2020 with constant luminance'
        : (NAMES[code] ?? `number ${code}`)
    const instead = matrix === null ? 'the matrix of its size' : 'BT.2020 without'
    faults.push(`has the colour matrix ${name}, which is not supported: ${instead} is used`)
  }
  // av01.P.LLT.DD.M.CCC: the last digit of CCC is 1 for left, 2 for topleft.
  const ofAv1 = parts[0] === 'av01' ? [null, 0, 2][Number(parts[5]?.[2] ?? 0)] : null
  const siting = container.siting ?? sps?.siting ?? ofAv1 ?? 0
  const known = SITINGS[siting] ?? null
  if (known === null)
    faults.push(`has chroma samples at location ${siting}, which is not supported: left is used`)
  return { matrix, fullRange: space.fullRange ?? null, siting: known ?? 'left', faults }
}

/** Returns the matrix by its name in FFmpeg, and a fault (a clause) if it is not supported. */
export function namedMatrix(name: string | null): {
  matrix: Colour['matrix'] | null
  fault: string | null
} {
  const matrix = NAMED[name ?? ''] ?? null
  const isKnown = matrix !== null || name === null
  const fault = `has the colour matrix ${name}, which is not supported: that of its size is used`
  return { matrix, fault: isKnown ? null : fault }
}

/**
 * Returns the chroma location for Matroska's ChromaSitingHorz and ChromaSitingVert; null: untagged.
 */
export function matroskaSiting([horizontal, vertical]: readonly [number, number]): number | null {
  if (horizontal === 1) return vertical === 2 ? 0 : vertical === 1 ? 2 : null
  return horizontal !== 2 ? null : vertical === 2 ? 1 : vertical === 1 ? 3 : null
}

/** Returns the colour from the file's tags. Decoders guess missing tags, each differently. */
export function colourOf(
  { matrix, fullRange, siting }: Tags,
  picture: Decoded,
  kind: string,
): Colour {
  if (picture.format === 'rgba' || picture.format === 'rgb24') return RGB
  if (kind === 'mjpeg') return JFIF
  const rgb = picture.matrix === 'rgb' || (matrix === 'rgb' && picture.format.startsWith('yuv444p'))
  return {
    matrix: rgb
      ? 'rgb'
      : matrix === null || matrix === 'rgb'
        ? untaggedMatrix(picture.height)
        : matrix,
    fullRange: fullRange ?? rgb,
    siting: picture.format.startsWith('yuv420p') ? siting : 'left',
  }
}
