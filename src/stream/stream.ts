import type { Device } from '../backend/backend.ts'
import { checkCount, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { type Average, averageFrames, type State } from '../program/program.ts'
import type { ReadOptions } from '../video/read.ts'
import { ahead } from './ahead.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from './frames.ts'
import { type FrameLike, type Pixels, toInput } from './input.ts'
import type { Outputs, Session } from './session.ts'
import {
  checkSnapshotOptions,
  decodeSnapshot,
  encodeSnapshot,
  type SnapshotOptions,
} from './snapshot.ts'
import { averageOf } from './snapshotHeader.ts'

/** What a stream carries from frame to frame. */
export interface StreamOptions {
  /** Batch size, 1 by default. Frames then have the shape [b, H, W, 3]. */
  readonly b?: number
  /**
   * Frames that an answer stands for: the last { frames }, all with a weight that halves every
   * { halfLife } frames (at most 1e5), or 'all' since the last reset (the model's own answer, which
   * hardly changes any more in a long video). A window has 1 to 4096 frames and takes
   * 4·b·frames·repSize bytes. Default: a window of half a clip, max(1, framesPerClip / 2) frames.
   */
  readonly average?: Average
}

/** What a stream needs to know of its model. */
export interface StreamModel {
  readonly fingerprint: string
  readonly config: { readonly imageSize: readonly [number, number] }
}

/**
 * Makes the answer of a head to one frame.
 * @param frame index since the reset, from 0
 * @param partial whether there are fewer frames than the average asks for
 */
export type ToAnswer<Answer> = (outputs: Outputs, frame: number, partial: boolean) => Answer

/** How a frame is pushed. */
export interface PushOptions {
  /** Takes the frame out of the queue. A frame that is being computed is answered all the same. */
  readonly signal?: AbortSignal
}

/**
 * Endless video, one answer a frame, in constant memory, until it or its model is disposed of.
 * Frames may be pushed without waiting; answers come in order. After the end every call rejects.
 * @example
 * for (const frame of frames) {
 *   await stream.ready
 *   stream.push(frame).then(show)
 * }
 */
export class Stream<Answer> {
  readonly #model: StreamModel
  readonly #session: Session
  readonly #average: Average
  readonly #toAnswer: ToAnswer<Answer>

  /** Use `model.stream()`. */
  constructor(model: StreamModel, session: Session, average: Average, toAnswer: ToAnswer<Answer>) {
    this.#model = model
    this.#session = session
    this.#average = average
    this.#toAnswer = toAnswer
  }

  /**
   * What the stream runs on: after a device was lost, or a move, not what the model was loaded for.
   */
  get device(): Device {
    return this.#session.engine.backend.device
  }

  /** Frames since the reset. */
  get frame(): number {
    return this.#session.frame
  }

  /** Frames and other calls that were asked for and are not answered. */
  get pending(): number {
    return this.#session.pending
  }

  /**
   * Resolves when the queue is short: pushing a frame then keeps the device busy, and holds no more
   * than three frames. A queue of more than 256 MiB of frames refuses the next one.
   */
  get ready(): Promise<void> {
    return this.#session.ready
  }

  /**
   * Feeds the next frame (of each video) and answers.
   * @param frame [H, W, 3] or [b, H, W, 3] of the model's size, bytes 0..255 or float32 0..1; or a
   * picture of any size, which is resized (shorter side) and cropped (centre). It is read before
   * `push` returns; the caller owns it and may close it then.
   * @throws TrecvitError if the frame does not fit, too many frames wait, or the stream has ended
   * @throws the reason of the signal, if that is aborted while the frame waits
   */
  async push(frame: FrameLike, options: PushOptions = {}): Promise<Answer> {
    checkOptions('push', options, { signal: 1 })
    const { first, outputs } = await this.#session.advance(this.#input(frame), 1, options)
    return this.#toAnswer(outputs, first, first + 1 < averageFrames(this.#average))
  }

  /**
   * Feeds the next frame as `push` does, and gives every named tensor of the run, those of the
   * recurrence with all that went before.
   * @throws TrecvitError if the frame does not fit
   */
  async trace(frame: FrameLike): Promise<Map<string, NdArray<Float32Array>>> {
    return this.#session.trace(this.#input(frame), 1)
  }

  /**
   * Pushes frames as they come and gives the answers. The next frame is fetched while one is
   * computed; it is pushed when its turn has come, so leaving the loop pushes no frame that is not
   * answered.
   * @param frames frames, or a file by path, URL, Blob or bytes
   * @param options for files: which frames, and who decodes; `signal` ends the loop
   * @throws TrecvitError if the video cannot be read or a frame does not fit
   * @throws the reason of the signal, if that is aborted
   * @example
   * for await (const { top } of stream.run('clip.mp4', { fps: 5 })) console.log(top[0].label)
   */
  async *run(
    frames: FrameSource,
    options: ReadOptions = {},
  ): AsyncGenerator<Answer, void, undefined> {
    checkOptions('run', options, READ_OPTIONS)
    const { signal } = options
    for await (const frame of ahead(framesOf(frames, this.#model.config.imageSize, options)))
      yield await this.push(frame, signal ? { signal } : {})
  }

  /** Forgets all frames, after those already pushed. */
  reset(): Promise<void> {
    return this.#session.reset()
  }

  /**
   * Returns the whole state after the frames pushed so far, as bytes that `model.resume` takes, on
   * any backend and in any runtime. The default form is exact; the others are smaller.
   * @throws TrecvitError if an option is wrong
   */
  async snapshot(options: SnapshotOptions = {}): Promise<Uint8Array> {
    checkSnapshotOptions(options)
    const { frame, values } = await this.#session.read()
    const { fingerprint: model } = this.#model
    const { b, states } = this.#session
    const header = { model, b, frame, recent: this.#average, states }
    return encodeSnapshot({ header, values }, options)
  }

  /**
   * Goes on on another device with the frames pushed so far; those pushed later wait.
   * @throws TrecvitError if there is no such device; the stream then stays where it is
   */
  async moveTo(device: Device['backend']): Promise<void> {
    if (device !== 'webgpu' && device !== 'wasm')
      throw new TrecvitError(`"moveTo" expected 'webgpu' or 'wasm', got ${describe(device)}`)
    return this.#session.move(device)
  }

  /**
   * Frees the state, after all that was asked for before; what is asked for afterwards rejects. May
   * be called more than once.
   */
  dispose(): Promise<void> {
    return this.#session.dispose()
  }

  /** Disposes of the stream, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #input(frame: FrameLike): Pixels | Promise<Pixels> {
    return toInput(frame, this.#session.b, this.#model.config.imageSize)
  }
}

/**
 * Checks the options of a stream and fills in what is not given.
 * @param window frames of the default average
 * @throws TrecvitError naming the option, what was expected and what came
 */
export function checkStreamOptions(
  window: number,
  { b = 1, average: wanted = { frames: window } }: StreamOptions,
): Required<StreamOptions> {
  checkCount('b', b)
  const average = averageOf(wanted)
  if (!average)
    throw new TrecvitError(
      `"average" expected 'all', { frames: 1..4096 } or { halfLife: up to 1e5 }, ` +
        `got ${JSON.stringify(wanted)}`,
    )
  return { b, average }
}

/**
 * Opens a session for a snapshot and puts the state back.
 * @throws TrecvitError if the snapshot is damaged, or was taken from another model
 */
export async function restore(
  bytes: Uint8Array,
  fingerprint: string,
  open: (b: number, average: Average) => Session,
): Promise<{ session: Session; average: Average }> {
  const { header, values } = decodeSnapshot(bytes)
  if (header.model !== fingerprint)
    throw new TrecvitError(
      `The snapshot was taken from model ${header.model}, and this one is ${fingerprint}; ` +
        'load that model',
    )
  const session = open(header.b, header.recent)
  const shapesOf = (states: readonly Pick<State, 'name' | 'shape'>[]): string =>
    JSON.stringify(states.map(({ name, shape }) => [name, shape]))
  if (shapesOf(header.states) !== shapesOf(session.states))
    throw new TrecvitError('The snapshot has other states than its model; take another one')
  await session.write(header.frame, await values())
  return { session, average: header.recent }
}
