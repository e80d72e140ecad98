/**
 * Opens files and streams, and checks their structure before mediabunny reads them.
 */

import { isReadable, unsupported } from '../codec/kinds.ts'
import { switchDescriptions } from '../codec/parameterSets.ts'
import { matroskaSiting } from '../codec/tags.ts'
import { checkIsobmff, type Isobmff, isIsobmff } from '../isobmff/file.ts'
import { checkIsobmffStream } from '../isobmff/stream.ts'
import { checkMatroska, isMatroska, type Matroska } from '../matroska/file.ts'
import { inflatePacket } from '../matroska/inflatePacket.ts'
import type { Media } from '../source/media.ts'
import { inputPart, type Part } from './part.ts'
import { isSeekable } from './pieces.ts'

/**
 * Opens a container that mediabunny supports. Returns null for other files.
 * @throws TrecvitError if it is damaged or has no video
 */
export async function openPart(media: Media, signal: AbortSignal): Promise<Part | null> {
  if (!isIsobmff(media.head) && !isMatroska(media.head)) return null
  if (isMatroska(media.head)) {
    return isSeekable(media)
      ? matroskaPart(media, await checkMatroska(media, signal), signal)
      : inputPart(media, media.container(), signal)
  }
  const isobmff = isSeekable(media)
    ? await checkIsobmff(media, signal)
    : await checkIsobmffStream(media, signal)
  return isobmffPart(media, isobmff, signal)
}

async function isobmffPart(media: Media, isobmff: Isobmff, signal: AbortSignal): Promise<Part> {
  const { movie, runs, shown } = isobmff
  const usual = movie.fragments?.get(movie.track)?.description ?? 1
  const description = movie.descriptions[(runs[0]?.description ?? usual) - 1]
  const kind = description?.kind ?? ''
  if (!isReadable(kind)) throw unsupported(media.name, kind)
  return inputPart(media, isobmff.source, signal, {
    container: isobmff.kind,
    kind,
    matrix: description?.matrix ?? null,
    isobmff,
    get cut() {
      return isobmff.cut
    },
    change(codec) {
      const used = new Set(runs.map(({ description }) => description)).size
      // Later fragments may use any description.
      const isOne = (shown === null ? movie.descriptions.length : used) < 2
      return isOne ? null : switchDescriptions(codec, movie.descriptions, runs)
    },
  })
}

async function matroskaPart(media: Media, matroska: Matroska, signal: AbortSignal): Promise<Part> {
  const { kind, track, cut } = matroska
  return inputPart(media, matroska.source, signal, {
    container: kind,
    matrix: track.matrix,
    siting: matroskaSiting(track.siting),
    cut,
    change: () =>
      track.isDeflated
        ? async (packet) => packet.clone({ data: await inflatePacket(packet.data) })
        : null,
    async rest() {
      const { interrupted, next } = await matroska.rest()
      return { warning: interrupted, next: next && (await matroskaPart(media, next, signal)) }
    },
  })
}
