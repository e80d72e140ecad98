/**
 * From decoded pictures to frames: those that edits show, at their times, in the colours that the
 * file tags.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { colourOf } from '../codec/tags.ts'
import { type Decode, type Decoded, DecoderFault } from '../decoder/track.ts'
import type { Frame, Rotation } from '../frame.ts'
import type { Edit } from '../isobmff/edits.ts'
import { capital } from '../source/media.ts'
import type { Part } from './part.ts'

/** Seconds by which a time may be before 0 and be 0. */
const ROUNDING = 1e-6

/**
 * All frames of a video, at times from the first one on.
 * @param name of the video, for messages
 * @param warnings gets what is known only at the end
 * @throws DecoderFault when the decoder gives no picture
 * @throws TrecvitError when the video is damaged, cut short, or changes its size
 */
export async function* present(
  name: string,
  first: Part,
  rotation: Rotation,
  warnings: string[],
  decode: Decode,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  let zero: number | undefined
  let last = 0
  const pictures = sameSize(name, joined(name, first, warnings, decode, signal), () => last)
  try {
    for await (const picture of pictures) {
      zero ??= picture.time
      last = picture.time - zero
      yield { ...picture, ...colourOf(first.tags, picture, first.track.kind), time: last, rotation }
    }
  } catch (error) {
    if (zero === undefined || !(error instanceof DecoderFault)) throw error
    throw new TrecvitError(
      `${capital(name)} cannot be decoded beyond ${last.toFixed(3)} s (${error.message}): ` +
        'it is damaged there',
      { cause: error },
    )
  }
  if (zero === undefined)
    throw new TrecvitError(
      `${capital(name)} has no picture that is shown: it is cut short or damaged`,
    )
}

/**
 * The pictures of all parts, one after the other: each begins a frame after the end of the one
 * before.
 */
async function* joined(
  name: string,
  first: Part,
  warnings: string[],
  decode: Decode,
  signal: AbortSignal,
): AsyncGenerator<Decoded> {
  let start = 0
  for (let part: Part | null = first; part !== null; ) {
    const current: Part = part
    let [zero, last, gap]: [number | undefined, number, number] = [undefined, 0, 0]
    try {
      for await (const picture of shown(current, decode, signal)) {
        zero ??= current === first ? 0 : picture.time
        gap = picture.time - zero - last
        last = picture.time - zero
        yield { ...picture, time: start + last }
      }
      const { warning, next } = await current.end()
      if (warning !== null) warnings.push(`${capital(name)} ${warning}`)
      part = next
      start += last + gap
    } finally {
      if (current !== first) current.dispose()
    }
  }
}

/** The pictures of a part that are shown, at times of the presentation. */
async function* shown(
  { track, edits }: Part,
  decode: Decode,
  signal: AbortSignal,
): AsyncGenerator<Decoded> {
  if (edits === null) {
    // An edit list hides what comes before time 0, here as in every player.
    for await (const picture of decode(track, signal)) if (picture.time >= -ROUNDING) yield picture
    return
  }
  const { passes, timescale } = edits
  for (const [index, pass] of passes.entries()) {
    const from = index === 0 ? undefined : pass[0]!.start / timescale
    yield* edited(decode({ ...track, packets: () => track.packets(from) }, signal), pass, timescale)
  }
}

/** Edits that follow one another without going back. */
async function* edited(
  pictures: AsyncGenerator<Decoded>,
  pass: readonly Edit[],
  timescale: number,
): AsyncGenerator<Decoded> {
  let next = 0
  for await (const picture of pictures) {
    const tick = Math.round(picture.time * timescale)
    while (next < pass.length && tick >= pass[next]!.end) next++
    const edit = pass[next]
    if (edit === undefined) return
    if (tick < edit.start) continue
    yield {
      ...picture,
      time: edit.at + (edit.start === -Infinity ? picture.time : (tick - edit.start) / timescale),
    }
  }
}

/** Refuses a change of size: a model's input has one. */
async function* sameSize(
  name: string,
  pictures: AsyncGenerator<Decoded>,
  last: () => number,
): AsyncGenerator<Decoded> {
  let first: Decoded | undefined
  for await (const picture of pictures) {
    first ??= picture
    if (picture.width !== first.width || picture.height !== first.height) {
      const sizes = `${first.width}x${first.height} to ${picture.width}x${picture.height}`
      throw new TrecvitError(
        `${capital(name)} changes its size from ${sizes} pixels after ${last().toFixed(3)} s: ` +
          `split it there, or ${CONVERT}`,
      )
    }
    yield picture
  }
}
