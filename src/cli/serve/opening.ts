/** The first message of a stream over a WebSocket. */
import { TrecvitError } from '../../base/error.ts'
import { type Config, windowOf } from '../../model/config.ts'
import type { Average } from '../../program/program.ts'
import { averageOf } from '../../stream/snapshotHeader.ts'
import { checkSize } from '../../video/frame.ts'
import { isInteger, type Json, parseJson, recordOf, shown } from './json.ts'
import { LEAST_ROOM, type Room } from './sequences/pace.ts'
import type { Asked } from './sequences/sequences.ts'

/** Error: a message is larger than the limit. */
export class TooLarge extends TrecvitError {}

/** The parsed opening message. */
export interface Opening {
  /** Size of raw RGB frames. Null if each frame is a PNG or JPEG picture. */
  readonly size: { readonly width: number; readonly height: number } | null
  /**
   * By default a window of half a clip. Not allowed with `resume`: the stream keeps the average of
   * its snapshot.
   */
  readonly average: Average
  readonly topK: number
  /** Whether the first bytes are a snapshot to resume from. */
  readonly resume: boolean
  /** Whether waiting frames are dropped when newer ones arrive. */
  readonly live: boolean
  /** The stream to start or to go on with; null for one without an id. */
  readonly sequence: Asked | null
  /** Frames that the client can keep until the server has saved them. */
  readonly room: Room
}

/** Largest number of characters in a text message. */
const MAX_TEXT = 4096
/** Largest number of characters of an id and of the secret of a client. */
const MAX_ID = 128

/** @throws TrecvitError naming the field, what was expected and what came */
export function readOpening(
  message: string | Uint8Array,
  config: Config,
  maxFrame: number,
): Opening {
  const { numClasses: c } = config
  if (typeof message !== 'string')
    throw new TrecvitError(
      `The first message of a stream expected JSON text, got ${message.length} bytes; ` +
        'send {} before pictures, or {"width":320,"height":240} before raw RGB frames of that ' +
        'size',
    )
  const {
    width,
    height,
    average: wanted,
    topK = Math.min(5, c),
    resume = false,
    live = false,
    sequence_id: id,
    sequence_key: key,
    sequence_start: start,
    sequence_room: room,
    ...unknown
  } = objectOf(message, 'The first message')
  const [odd] = Object.keys(unknown)
  if (odd !== undefined)
    throw new TrecvitError(
      'The first message expected "width", "height", "average", "topK", "resume", "live", ' +
        `"sequence_id", "sequence_start", "sequence_key" and "sequence_room", got ${shown(odd)}`,
    )
  const average = averageOf(wanted === undefined ? { frames: windowOf(config) } : wanted)
  if (!average)
    throw new TrecvitError(
      '"average" expected "all", {"frames":1..4096} or {"halfLife":up to 1e5}, ' +
        `got ${shown(wanted)}`,
    )
  if (!isInteger(topK, 1, c))
    throw new TrecvitError(`"topK" expected an integer from 1 to ${c}, got ${shown(topK)}`)
  if (typeof resume !== 'boolean')
    throw new TrecvitError(`"resume" expected true or false, got ${shown(resume)}`)
  if (typeof live !== 'boolean') {
    throw new TrecvitError(`"live" expected true or false, got ${shown(live)}`)
  }
  const sequence = readSequence(id, key, start)
  if (sequence && (resume || live))
    throw new TrecvitError(
      `"${resume ? 'resume' : 'live'}" cannot be given with "sequence_id": ` +
        (resume ? 'the server has the state' : 'its frames have numbers, and none is dropped'),
    )
  if (wanted !== undefined && (resume || sequence?.start === false))
    throw new TrecvitError(
      `"average" cannot be given ${resume ? 'with "resume"' : 'without "sequence_start"'}: ` +
        `the stream continues with the average of its ${resume ? 'snapshot' : 'start'}`,
    )
  return {
    size: sizeOfFrames(width, height, maxFrame),
    ...{ average, topK, resume, live, sequence },
    room: roomOf(room),
  }
}

function roomOf(room: unknown): Room {
  if (room === undefined) return LEAST_ROOM
  const { frames, bytes } = Object(room) as Json
  if (isInteger(frames, 1) && isInteger(bytes, 1)) return { frames, bytes }
  throw new TrecvitError(
    `"sequence_room" expected {"frames":1 or more,"bytes":1 or more}, got ${shown(room)}`,
  )
}

/**
 * Reads the id of a stream: text, or an integer; an empty text and 0 mean none, as for Triton.
 * @throws TrecvitError naming the field
 */
export function readSequence(id: unknown, key: unknown, start: unknown): Asked | null {
  for (const [name, value] of Object.entries({ sequence_key: key, sequence_start: start }))
    if (value !== undefined && (id ?? 0) === 0)
      throw new TrecvitError(`"${name}" expected a "sequence_id" beside it, got ${shown(id)}`)
  const text = isInteger(id, 0) ? String(id || '') : (id ?? '')
  if (typeof text !== 'string' || text.length > MAX_ID)
    throw new TrecvitError(
      `"sequence_id" expected a text of up to ${MAX_ID} characters or an integer, ` +
        `got ${shown(id)}`,
    )
  if (key !== undefined && (typeof key !== 'string' || key.length > MAX_ID))
    throw new TrecvitError(
      `"sequence_key" expected a text of up to ${MAX_ID} characters, got ${shown(key)}`,
    )
  if (start !== undefined && typeof start !== 'boolean')
    throw new TrecvitError(`"sequence_start" expected true or false, got ${shown(start)}`)
  return text === '' ? null : { id: text, key: key ?? '', start: start ?? false }
}

/** Parses the object in a text message. */
export function objectOf(text: string, what: string): Json {
  if (text.length > MAX_TEXT) {
    throw new TooLarge(`${what} expected at most ${MAX_TEXT} characters, got ${text.length}`)
  }
  return recordOf(parseJson(new TextEncoder().encode(text), what), what)
}

function sizeOfFrames(width: unknown, height: unknown, maxFrame: number): Opening['size'] {
  if (width === undefined && height === undefined) return null
  if (!isInteger(width, 1) || !isInteger(height, 1))
    throw new TrecvitError(
      '"width" and "height" expected integers, at least 1, ' +
        `got ${shown(width)} and ${shown(height)}`,
    )
  checkSize('A frame of the stream', width, height, Math.floor(maxFrame / 3))
  return { width, height }
}
