/**
 * A stream over a socket: an opening message, then frames in, and for each a line of JSON out, in order.
 */
import { TrecvitError } from '../../error.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { Average } from '../../program/program.ts'
import { averageOf, decodeSnapshot } from '../../stream/snapshot.ts'
import type { FrameAnswer, Stream } from '../../stream/stream.ts'
import { checkSize, RGB, type Frame } from '../../video/frame.ts'
import { decodeImage } from '../../video/image.ts'
import { openMedia } from '../../video/media.ts'
import { isWhole, parseJson, recordOf, shown, type Json } from './json.ts'

/** Messages of one client: text, or bytes. */
export interface Channel {
  /** Read one by one: nothing is taken in that is not asked for, but for a few messages on their way. */
  readonly messages: AsyncIterable<string | Uint8Array>
  /** Resolves when the message is on its way to the client. */
  send(message: string | Uint8Array): Promise<void>
  /** Ends `messages` with an error. */
  fail(why: unknown): void
}

/** What the opening message says. */
interface Opening {
  /** Of raw RGB frames; without it each frame is a PNG or JPEG picture. */
  readonly size: { readonly width: number; readonly height: number } | null
  /** Not given with `resume`: the stream goes on as it was begun. */
  readonly average: Average
  readonly topK: number
  /** The first bytes are a snapshot to go on from. */
  readonly resume: boolean
}

/** What streams of one server share. */
export interface Shared {
  readonly model: TRecViT
  /** Bytes of a frame, decoded. */
  readonly maxFrame: number
}

/**
 * Answers until the messages end.
 * @throws TrecvitError if a message does not fit; what was asked for before it has been answered
 */
export async function follow({ model, maxFrame }: Shared, { messages, send, fail }: Channel): Promise<void> {
  let opening: Opening | undefined
  let stream: Stream | undefined
  let sent = Promise.resolve()
  try {
    for await (const message of messages) {
      if (!opening) {
        opening = readOpening(message, model.config.numClasses, maxFrame)
        if (!opening.resume) stream = model.stream({ average: opening.average, topK: opening.topK })
        continue
      }
      if (!stream) {
        stream = await resume(model, message, opening.topK)
        continue
      }
      const answer: Promise<string | Uint8Array> = typeof message === 'string' ? snapshot(stream, message) : stream.push(await toFrame(message, opening, maxFrame)).then(toLine)
      answer.catch(() => {})
      // Two are under way at most: the next frame is decoded while this one is computed.
      const before = sent
      sent = before.then(() => answer).then(send)
      sent.catch(fail)
      await before
    }
  } finally {
    await sent.catch(() => {})
    await stream?.dispose()
  }
}

function readOpening(message: string | Uint8Array, c: number, maxFrame: number): Opening {
  if (typeof message !== 'string') throw new TrecvitError(`The first message of a stream expected JSON text, got ${message.length} bytes; send {} before pictures, or {"width":320,"height":240} before raw RGB frames of that size`)
  const { width, height, average: wanted, topK = Math.min(5, c), resume = false, ...unknown } = objectOf(message, 'The first message')
  const [odd] = Object.keys(unknown)
  if (odd !== undefined) throw new TrecvitError(`The first message expected "width", "height", "average", "topK" and "resume", got ${shown(odd)}`)
  const average = averageOf(wanted === undefined ? 'all' : wanted)
  if (!average) throw new TrecvitError(`"average" expected "all", {"frames":1..4096} or {"halfLife":up to 1e5}, got ${shown(wanted)}`)
  if (!isWhole(topK, 1, c)) throw new TrecvitError(`"topK" expected a whole number from 1 to ${c}, got ${shown(topK)}`)
  if (typeof resume !== 'boolean') throw new TrecvitError(`"resume" expected true or false, got ${shown(resume)}`)
  if (resume && wanted !== undefined) throw new TrecvitError('"average" cannot be given with "resume": the stream goes on as it was begun')
  return { size: sizeOfFrames(width, height, maxFrame), average, topK, resume }
}

function sizeOfFrames(width: unknown, height: unknown, maxFrame: number): Opening['size'] {
  if (width === undefined && height === undefined) return null
  if (!isWhole(width, 1) || !isWhole(height, 1)) throw new TrecvitError(`"width" and "height" expected whole numbers, at least 1, got ${shown(width)} and ${shown(height)}`)
  checkSize('A frame of the stream', width, height, Math.floor(maxFrame / 3))
  return { width, height }
}

function resume(model: TRecViT, message: string | Uint8Array, topK: number): Promise<Stream> {
  if (typeof message === 'string') throw new TrecvitError(`After "resume" the stream expected the bytes of a snapshot, got ${shown(message)}`)
  const { b } = decodeSnapshot(message).header
  if (b !== 1) throw new TrecvitError(`The snapshot expected one video, got ${b}`)
  return model.resume(message, { topK })
}

/** A picture, or raw pixels; without a copy. */
async function toFrame(bytes: Uint8Array, { size }: Opening, maxFrame: number): Promise<Frame> {
  if (!size) return (await decodeImage({ ...await openMedia(bytes, undefined), name: 'the frame' }, 0, Math.floor(maxFrame / 4))).frame
  const { width, height } = size
  if (bytes.length !== 3 * width * height) throw new TrecvitError(`A raw frame of ${width}x${height} expected ${3 * width * height} bytes, got ${bytes.length}`)
  return { format: 'rgb24', width, height, planes: [{ data: bytes, stride: 3 * width }], time: 0, rotation: 0, ...RGB }
}

function snapshot(stream: Stream, message: string): Promise<Uint8Array> {
  const { snapshot: wanted, ...unknown } = objectOf(message, 'A message')
  if (wanted !== true || Object.keys(unknown).length) throw new TrecvitError('A message of text expected {"snapshot":true}; frames are sent as bytes')
  return stream.snapshot()
}

function objectOf(text: string, what: string): Json {
  return recordOf(parseJson(new TextEncoder().encode(text), what), what)
}

/** As in `trecvit stream --json`. */
function toLine({ frame, top, probs }: FrameAnswer): string {
  return JSON.stringify({ frame, ...top[0], top, probs: [...probs.data] })
}
