/**
 * Describes a track from its codec string and configuration record: a label for users, and the
 * layout of the planes.
 */
import type { FrameFormat } from '../frame.ts'
import { readAvcSps } from './sps.ts'

/** A codec's label, and the format of its decoded pictures. */
export interface Codec {
  /** Like `H.264 High 10, 4:2:0, 10 bit`. */
  readonly label: string
  /** Null if the record does not contain it, or no frame format has this layout. */
  readonly format: FrameFormat | null
}

const AVC_PROFILES: Readonly<Record<number, string>> = {
  66: 'Baseline',
  77: 'Main',
  88: 'Extended',
  100: 'High',
  110: 'High 10',
  122: 'High 4:2:2',
  244: 'High 4:4:4',
}
const HEVC_PROFILES: Readonly<Record<number, string>> = {
  1: 'Main',
  2: 'Main 10',
  3: 'Main Still Picture',
  4: 'Range Extensions',
}
const AV1_PROFILES: Readonly<Record<number, string>> = { 0: 'Main', 1: 'High', 2: 'Professional' }

type Chroma = '4:0:0' | '4:2:0' | '4:2:2' | '4:4:4'
/** chroma_format_idc of H.264 and HEVC. */
const CHROMA_IDC: readonly Chroma[] = ['4:0:0', '4:2:0', '4:2:2', '4:4:4']

const FORMATS: Readonly<Record<string, FrameFormat>> = {
  '4:0:0 8': 'gray',
  '4:2:0 8': 'yuv420p',
  '4:2:2 8': 'yuv422p',
  '4:4:4 8': 'yuv444p',
  '4:2:0 10': 'yuv420p10',
  '4:2:2 10': 'yuv422p10',
  '4:4:4 10': 'yuv444p10',
}

/**
 * @param codec name of the codec in mediabunny (avc, hevc, vp8, vp9, av1), or mjpeg
 * @param parameters codec string of RFC 6381, such as avc1.64000d
 * @param record avcC or hvcC, if the file has one
 */
export function describeCodec(codec: string, parameters: string, record: Uint8Array | null): Codec {
  const parts = parameters.split('.')
  if (codec === 'avc') {
    const sps = record === null ? null : readAvcSps(record)
    const sampling = sps && { chroma: CHROMA_IDC[sps.chroma]!, depth: sps.depth }
    // Decoders output H.264 without chroma as 4:2:0 with grey chroma.
    const label = ['H.264', AVC_PROFILES[parseInt(parts[1]?.slice(0, 2) ?? '', 16)]]
    return finish(label, sampling, sampling?.chroma === '4:0:0' ? '4:2:0' : sampling?.chroma)
  }
  if (codec === 'hevc') {
    const sampling =
      record !== null && record.length > 18
        ? { chroma: CHROMA_IDC[record[16]! & 3]!, depth: 8 + (record[17]! & 7) }
        : null
    return finish(['HEVC', HEVC_PROFILES[Number(parts[1]?.replace(/^[A-C]/, ''))]], sampling)
  }
  if (codec === 'vp8') return finish(['VP8'], { chroma: '4:2:0', depth: 8 })
  if (codec === 'vp9') {
    // vp09.PP.LL.DD.CC: CC is 00 or 01 for 4:2:0.
    const chroma = ({ '02': '4:2:2', '03': '4:4:4' } as const)[parts[4] ?? ''] ?? '4:2:0'
    return finish(['VP9', `Profile ${Number(parts[1])}`], { chroma, depth: Number(parts[3]) })
  }
  if (codec === 'av1') {
    // av01.P.LLT.DD.M.CCC: M is 1 for monochrome. CCC is the subsampling in x and y; default 4:2:0.
    const chroma =
      parts[4] === '1'
        ? '4:0:0'
        : parts[5]?.startsWith('00')
          ? '4:4:4'
          : parts[5]?.startsWith('10')
            ? '4:2:2'
            : '4:2:0'
    return finish(['AV1', AV1_PROFILES[Number(parts[1])]], { chroma, depth: Number(parts[3]) })
  }
  if (codec === 'mjpeg') return { label: 'Motion JPEG', format: null }
  return { label: `${codec} (${parameters})`, format: null }
}

interface Sampling {
  readonly chroma: Chroma
  readonly depth: number
}

function finish(
  label: readonly (string | undefined)[],
  sampling: Sampling | null,
  decoded: Chroma | undefined = sampling?.chroma,
): Codec {
  const name = label.filter((part) => part !== undefined).join(' ')
  if (sampling === null) return { label: name, format: null }
  return {
    label: `${name}, ${sampling.chroma}, ${sampling.depth} bit`,
    format: FORMATS[`${decoded} ${sampling.depth}`] ?? null,
  }
}
