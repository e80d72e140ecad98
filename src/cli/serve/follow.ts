/**
 * A stream over a socket. The client sends an opening message, then frames. The server sends one
 * line of JSON per frame, in order.
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

/** Messages of one client: text or bytes. */
export interface Channel {
  /**
   * Messages, read one by one. Apart from a few messages on their way, nothing is received before
   * it is requested.
   */
  readonly messages: AsyncIterable<string | Uint8Array>
  /** Sends a message. Resolves when it is passed to the network. */
  send(message: string | Uint8Array): Promise<void>
  /** Ends `messages` with an error. */
  fail(why: unknown): void
  /** From this call on, a waiting frame is dropped when the next one arrives. */
  keepNewest?(): void
  /** Number of dropped frames. */
  readonly dropped?: number
}

/** Error: a message is larger than the limit. */
export class TooLarge extends TrecvitError {}

/** The parsed opening message. */
interface Opening {
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
}

/** Data that the streams of one server share. */
export interface Shared {
  readonly model: TRecViT
  /** Largest size of a frame in bytes, both encoded and decoded. */
  readonly maxFrame: number
  /** Decodes and resizes frames; on the calling thread by default. */
  readonly tasks?: Tasks
  /** Notified about results and failures of the model. */
  readonly health?: Health
  /** Called with the seconds from receiving a frame to its result. */
  readonly onFrame?: (seconds: number) => void
}

/** Largest number of characters in a text message. */
const MAX_TEXT = 4096

/** Largest number of frames in the window of an average. */
const MAX_WINDOW = 4096

/** Returns the largest size of a stream's snapshot for this model, in bytes. */
export function largestSnapshot(model: TRecViT): number {
  const session = sessionsOf(model).open({ b: 1, recent: { frames: MAX_WINDOW }, encoded: false })
  return snapshotBytes(session.states)
}

/**
 * Processes messages until they end.
 * @throws TrecvitError if a message is not valid. Earlier messages are answered first
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
      // At most two frames are under way: one is computed while the next one is decoded.
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
      '"average" cannot be given with "resume": the stream continues with the average of its ' +
        'snapshot',
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

/** Converts a picture or raw pixels to a frame in the input size of the model. */
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

/** @throws TrecvitError if an option is not valid */
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

/** Formats a result like `trecvit stream --json`. */
function lineOf({ frame, partial, top, probs }: FrameAnswer): object {
  return { frame, partial, ...top[0], top, probs: [...probs.data] }
}
