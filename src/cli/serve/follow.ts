/**
 * A stream over a socket. The client sends an opening message, then frames. The server sends one
 * line of JSON per frame, in order.
 */
import type { NdArray } from '../../base/array.ts'
import { TrecvitError } from '../../base/error.ts'
import type { ClassStream } from '../../model/classStream.ts'
import type { FrameAnswer } from '../../model/heads/classification.ts'
import { sessionsOf } from '../../model/sessions.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { decodeSnapshot, snapshotBytes } from '../../stream/snapshot.ts'
import { Health } from './health.ts'
import { type Json, shown } from './json.ts'
import { type Opening, objectOf, readOpening, TooLarge } from './opening.ts'
import type { Sequence } from './sequences/sequence.ts'
import type { Sequences } from './sequences/sequences.ts'
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

/** Data that the streams of one server share. */
export interface Shared {
  readonly model: TRecViT
  /** Name of the model in URLs. */
  readonly name?: string
  /** Streams with ids. Without them an id is refused. */
  readonly sequences?: Sequences
  /** Largest size of a frame in bytes, both encoded and decoded. */
  readonly maxFrame: number
  /** Decodes and resizes frames; on the calling thread by default. */
  readonly tasks?: Tasks
  /** Notified about results and failures of the model. */
  readonly health?: Health
  /** Called with the seconds from receiving a frame to its result. */
  readonly onFrame?: (seconds: number) => void
}

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
  const { model, maxFrame, health = new Health(model), sequences, name = '' } = shared
  const { messages, send, fail } = channel
  const pace = sequences?.pace(name)
  let opening: Opening | undefined
  let stream: ClassStream | undefined
  let sequence: Sequence | undefined
  let sent = Promise.resolve()
  /** Sends an answer after those before. */
  const sendInTurn = (answer: Promise<string | Uint8Array>): void => {
    answer.catch(() => {})
    sent = sent.then(() => answer).then(send)
    sent.catch(fail)
  }
  const client = { send: (line: object) => sendInTurn(Promise.resolve(JSON.stringify(line))), fail }
  try {
    for await (const message of messages) {
      if (!opening) {
        opening = readOpening(message, model.config, maxFrame)
        if (opening.sequence) {
          if (!sequences) throw new TrecvitError('This server expected no "sequence_id"')
          sequence = await sequences.openStream(model, name, opening.sequence, opening, client)
          stream = sequence.stream
          client.send({ next: stream.frame, saved: stream.frame })
        } else if (!opening.resume) {
          stream = model.stream({ average: opening.average, topK: opening.topK })
        }
        if (stream && opening.live) channel.keepNewest?.()
        continue
      }
      if (!stream) {
        stream = await resume(model, message, opening.topK)
        if (opening.live) channel.keepNewest?.()
        continue
      }
      // At most two frames are under way: one is computed while the next one is decoded.
      const before = sent
      if (typeof message === 'string') {
        const command = objectOf(message, 'A message')
        if (sequence && 'answered' in command) sequence.answered(command['answered'])
        else if (sequence && command['save'] === true) sequence.save('request')
        else if (sequence && command['sequence_end'] === true) {
          await sent
          client.send({ ended: await sequences!.inTime(sequence.end()) })
          return
        } else sendInTurn(snapshot(stream, command))
      } else {
        const start = performance.now()
        // A task may move the bytes to a thread.
        const { length } = message
        const dropped = opening.live ? { dropped: channel.dropped ?? 0 } : {}
        const frame = await toFrame(shared, message, opening)
        const end = pace?.begin()
        const answer = health.watch(stream.push(frame)).then((result) => {
          shared.onFrame?.((performance.now() - start) / 1000)
          return JSON.stringify({ ...lineOf(result), ...dropped })
        })
        if (end) answer.then(end, end)
        sendInTurn(answer)
        sequence?.pushed(length)
      }
      await before
    }
  } finally {
    await sent.catch(() => {})
    if (sequence) await sequences!.close(sequence)
    else await stream?.dispose()
  }
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
async function snapshot(
  stream: ClassStream,
  { snapshot: wanted, ...options }: Json,
): Promise<Uint8Array> {
  const [odd] = Object.keys(options).filter((name) => name !== 'dtype')
  if (wanted !== true || odd !== undefined) {
    throw new TrecvitError(
      'A message of text expected {"snapshot":true}, with "dtype" if wanted; ' +
        'frames are sent as bytes',
    )
  }
  return stream.snapshot(options)
}

/** Formats a result like `trecvit stream --json`. */
function lineOf({ frame, partial, top, probs }: FrameAnswer): object {
  return { frame, partial, ...top[0], top, probs: [...probs.data] }
}
