/**
 * A stream over a socket: an opening message, then frames in, and for each a line of JSON out, in
 * order.
 */
import type { NdArray } from '../../base/array.ts'
import { TrecvitError } from '../../base/error.ts'
import type { ClassStream } from '../../model/classStream.ts'
import { type Config, windowOf } from '../../model/config.ts'
import type { FrameAnswer } from '../../model/heads/classification.ts'
import { sessionsOf } from '../../model/sessions.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { Average } from '../../program/program.ts'
import { decodeSnapshot, snapshotBytes } from '../../stream/snapshot.ts'
import { averageOf } from '../../stream/snapshotHeader.ts'
import { checkSize } from '../../video/frame.ts'
import { Health } from './health.ts'
import { isInteger, type Json, parseJson, recordOf, shown } from './json.ts'
import { type Tasks, tasks } from './tasks.ts'

/** Messages of one client: text, or bytes. */
export interface Channel {
  /**
   * Read one by one: nothing is taken in that is not asked for, but for a few messages on their
   * way.
   */
  readonly messages: AsyncIterable<string | Uint8Array>
  /** Resolves when the message is on its way to the client. */
  send(message: string | Uint8Array): Promise<void>
  /** Ends `messages` with an error. */
  fail(why: unknown): void
  /** From now on, a frame that waits is dropped when the next one comes. */
  keepNewest?(): void
  /** Frames that were dropped so far. */
  readonly dropped?: number
}

/** A message that is larger than the server takes. */
export class TooLarge extends TrecvitError {}

/** What the opening message says. */
interface Opening {
  /** Of raw RGB frames; without it each frame is a PNG or JPEG picture. */
  readonly size: { readonly width: number; readonly height: number } | null
  /**
   * By default a window of half a clip. Not given with `resume`: the stream goes on as it was
   * begun.
   */
  readonly average: Average
  readonly topK: number
  /** The first bytes are a snapshot to go on from. */
  readonly resume: boolean
  /** Frames that wait are dropped when newer ones come. */
  readonly live: boolean
}

/** What streams of one server share. */
export interface Shared {
  readonly model: TRecViT
  /** Bytes of a frame, as sent and decoded. */
  readonly maxFrame: number
  /** Decoding and resizing; on the calling thread by default. */
  readonly tasks?: Tasks
  /** Told about answers and failures of the model. */
  readonly health?: Health
  /** Called with the seconds from taking a frame to its answer. */
  readonly onFrame?: (seconds: number) => void
}

/** Characters of a message of text. */
const MAX_TEXT = 4096

/** Frames of the longest window of an average. */
const MAX_WINDOW = 4096

/** Bytes of the largest snapshot of a stream of this model. */
export function largestSnapshot(model: TRecViT): number {
  const session = sessionsOf(model).open({ b: 1, recent: { frames: MAX_WINDOW }, encoded: false })
  return snapshotBytes(session.states)
}

/**
 * Answers until the messages end.
 * @throws TrecvitError if a message does not fit; what was asked for before it has been answered
 */
export async function follow(shared: Shared, channel: Channel): Promise<void> {
  const { model, maxFrame, health = new Health(model) } = shared
  const { messages, send, fail } = channel
  let opening: Opening | undefined
  let stream: ClassStream | undefined
  let sent = Promise.resolve()
  try {
    for await (const message of messages) {
      if (!opening) {
        opening = readOpening(message, model.config, maxFrame)
        if (!opening.resume) stream = model.stream({ average: opening.average, topK: opening.topK })
        if (stream && opening.live) channel.keepNewest?.()
        continue
      }
      if (!stream) {
        stream = await resume(model, message, opening.topK)
        if (opening.live) channel.keepNewest?.()
        continue
      }
      let answer: Promise<string | Uint8Array>
      if (typeof message === 'string') answer = snapshot(stream, message)
      else {
        const start = performance.now()
        const dropped = opening.live ? { dropped: channel.dropped ?? 0 } : {}
        const frame = await toFrame(shared, message, opening)
        answer = health.watch(stream.push(frame)).then((result) => {
          shared.onFrame?.((performance.now() - start) / 1000)
          return JSON.stringify({ ...lineOf(result), ...dropped })
        })
      }
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

function readOpening(message: string | Uint8Array, config: Config, maxFrame: number): Opening {
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
    ...unknown
  } = objectOf(message, 'The first message')
  const [odd] = Object.keys(unknown)
  if (odd !== undefined)
    throw new TrecvitError(
      'The first message expected "width", "height", "average", "topK", "resume" and "live", ' +
        `got ${shown(odd)}`,
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
  if (resume && wanted !== undefined)
    throw new TrecvitError(
      '"average" cannot be given with "resume": the stream goes on as it was begun',
    )
  return { size: sizeOfFrames(width, height, maxFrame), average, topK, resume, live }
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

function resume(model: TRecViT, message: string | Uint8Array, topK: number): Promise<ClassStream> {
  if (typeof message === 'string')
    throw new TrecvitError(
      `After "resume" the stream expected the bytes of a snapshot, got ${shown(message)}`,
    )
  const { b } = decodeSnapshot(message).header
  if (b !== 1) throw new TrecvitError(`The snapshot expected one video, got ${b}`)
  return model.resume(message, { topK })
}

/** The pixels of a picture, or raw ones, as the model takes them. */
async function toFrame(shared: Shared, bytes: Uint8Array, { size }: Opening): Promise<NdArray> {
  const {
    model: {
      config: { imageSize },
    },
    maxFrame,
    tasks: { toModel } = tasks,
  } = shared
  if (bytes.length > maxFrame) {
    throw new TooLarge(
      `A frame expected at most ${maxFrame} bytes, got ${bytes.length}; ` +
        'send smaller ones, or start the server with a larger "--max-body"',
    )
  }
  if (size) {
    const { width, height } = size
    const want = 3 * width * height
    if (bytes.length !== want) {
      throw new TrecvitError(
        `A raw frame of ${width}x${height} expected ${want} bytes, got ${bytes.length}`,
      )
    }
    const shape = [height, width, 3]
    if (String(shape) === String([...imageSize, 3])) return { data: bytes, shape }
  }
  return toModel({ bytes, size, maxPixels: Math.floor(maxFrame / 4), imageSize })
}

/** @throws TrecvitError if an option is wrong */
async function snapshot(stream: ClassStream, message: string): Promise<Uint8Array> {
  const { snapshot: wanted, ...options } = objectOf(message, 'A message')
  const [odd] = Object.keys(options).filter((name) => name !== 'dtype')
  if (wanted !== true || odd !== undefined) {
    throw new TrecvitError(
      'A message of text expected {"snapshot":true}, with "dtype" if wanted; ' +
        'frames are sent as bytes',
    )
  }
  return stream.snapshot(options)
}

function objectOf(text: string, what: string): Json {
  if (text.length > MAX_TEXT) {
    throw new TooLarge(`${what} expected at most ${MAX_TEXT} characters, got ${text.length}`)
  }
  return recordOf(parseJson(new TextEncoder().encode(text), what), what)
}

/** As in `trecvit stream --json`. */
function lineOf({ frame, partial, top, probs }: FrameAnswer): object {
  return { frame, partial, ...top[0], top, probs: [...probs.data] }
}
