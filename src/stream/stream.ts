import type { Device } from '../backend/backend.ts'
import { checkCount, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { type Average, averageFrames } from '../program/program.ts'
import type { ReadOptions } from '../video/read.ts'
import { ahead } from './ahead.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from './frames.ts'
import { type AnyPixels, type FrameLike, toInput } from './input.ts'
import type { Outputs, Session } from './session.ts'
import { checkSnapshotOptions, encodeSnapshot, type SnapshotOptions } from './snapshot.ts'
import { averageOf } from './snapshotHeader.ts'

/** Options of a stream. */
export interface StreamOptions {
  /** Batch size, 1 by default. Frames then have the shape [b, H, W, 3]. */
  readonly b?: number
  /**
   * Frames that an answer covers: the last { frames }, all with a weight that halves every
   * { halfLife } frames (at most 1e5), or 'all' since the last reset (the model's own answer, which
   * hardly changes any more in a long video). A window has 1 to 4096 frames and uses
   * 4·b·frames·repSize bytes. Default: a window of half a clip, max(1, framesPerClip / 2) frames.
   */
  readonly average?: Average
  /**
   * How pictures of a page become pixels. 'exact' (default): by the CPU, with our own conversion of
   * planes. 'gpu': a VideoFrame, ImageBitmap, `<img>`, `<video>` or canvas is resized on the GPU
   * that computes the stream, if there is one. The pixels differ: see docs/camera.md.
   */
  readonly pixels?: 'exact' | 'gpu'
}

/** The part of a model that a stream uses. */
export interface StreamModel {
  readonly fingerprint: string
  readonly config: { readonly imageSize: readonly [number, number] }
}

/**
 * Makes an answer from the outputs for one frame.
 * @param frame index since the reset, from 0
 * @param partial whether there are fewer frames than the average asks for
 */
export type ToAnswer<Answer> = (outputs: Outputs, frame: number, partial: boolean) => Answer

/** Options for one frame. */
export interface PushOptions {
  /** Removes the frame from the queue. A frame that is already being computed is answered. */
  readonly signal?: AbortSignal
}

/**
 * A stream of frames without end: one answer per frame, in constant memory. Frames may be pushed
 * without waiting; answers come in order. After the stream or its model was disposed of, every call
 * rejects.
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
  readonly #readsOnGpu: boolean

  /**
   * Called by `model.stream()`.
   * @throws TrecvitError if `pixels` is none of its values
   */
  constructor(
    model: StreamModel,
    session: Session,
    average: Average,
    toAnswer: ToAnswer<Answer>,
    pixels: StreamOptions['pixels'] = 'exact',
  ) {
    if (pixels !== 'exact' && pixels !== 'gpu')
      throw new TrecvitError(`"pixels" expected 'exact' or 'gpu', got ${describe(pixels)}`)
    this.#readsOnGpu = pixels === 'gpu'
    this.#model = model
    this.#session = session
    this.#average = average
    this.#toAnswer = toAnswer
  }

  /**
   * The device of the stream. It differs from the model's after `moveTo` or after a device was
   * lost.
   */
  get device(): Device {
    return this.#session.engine.backend.device
  }

  /** Number of frames since the reset. */
  get frame(): number {
    return this.#session.frame
  }

  /** Number of calls without an answer, frames included. */
  get pending(): number {
    return this.#session.pending
  }

  /**
   * Resolves when the queue is short. Pushing a frame then keeps the device busy, and at most three
   * frames wait. If more than 256 MiB of frames wait, `push` rejects.
   */
  get ready(): Promise<void> {
    return this.#session.ready
  }

  /**
   * Pushes the next frame (of each video) and returns its answer.
   * @param frame [H, W, 3] or [b, H, W, 3] of the model's size, bytes 0..255 or float32 0..1; or a
   * picture of any size, which is resized (shorter side) and cropped (centre). The frame is read
   * before `push` returns, so the caller may close it then.
   * @throws TrecvitError if the frame does not fit, the queue is full, or the stream was disposed
   * of
   * @throws the reason of the signal, if it is aborted while the frame waits
   */
  async push(frame: FrameLike, options: PushOptions = {}): Promise<Answer> {
    checkOptions('push', options, { signal: 1 })
    const { first, outputs } = await this.#session.advance(this.#input(frame), 1, options)
    return this.#toAnswer(outputs, first, first + 1 < averageFrames(this.#average))
  }

  /**
   * Pushes the next frame as `push` does, and returns every named tensor of the run. Tensors of the
   * recurrence depend on all frames before.
   * @throws TrecvitError if the frame does not fit
   */
  async trace(frame: FrameLike): Promise<Map<string, NdArray<Float32Array>>> {
    return this.#session.trace(this.#input(frame), 1)
  }

  /**
   * Pushes all frames of a source and yields their answers. The next frame is fetched while one is
   * computed, and pushed when the caller asks for its answer. So leaving the loop leaves no frame
   * without an answer.
   * @param frames frames, or a file by path, URL, Blob or bytes
   * @param options for files: which frames, and the decoder; `signal` ends the loop
   * @throws TrecvitError if the video cannot be read or a frame does not fit
   * @throws the reason of the signal, if it is aborted
   * @example
   * for await (const { top } of stream.run('clip.mp4', { fps: 5 })) console.log(top[0].label)
   */
  async *run(
    frames: FrameSource,
    options: ReadOptions = {},
  ): AsyncGenerator<Answer, void, undefined> {
    checkOptions('run', options, READ_OPTIONS)
    const { signal } = options
    const reading = { onWarning: this.#session.warn, ...options }
    for await (const frame of ahead(framesOf(frames, this.#model.config.imageSize, reading)))
      yield await this.push(frame, signal ? { signal } : {})
  }

  /** Resets the stream after the frames already pushed: the next frame is its first. */
  reset(): Promise<void> {
    return this.#session.reset()
  }

  /**
   * Returns the state after the frames pushed so far, as bytes for `model.resume`, on any backend
   * and in any runtime. The default format is exact; 'f16' is half the size.
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
   * Moves the stream to another device, after the frames pushed so far. Later frames wait.
   * @throws TrecvitError if there is no such device; the stream then stays where it is
   */
  async moveTo(device: Device['backend']): Promise<void> {
    if (device !== 'webgpu' && device !== 'wasm')
      throw new TrecvitError(`"moveTo" expected 'webgpu' or 'wasm', got ${describe(device)}`)
    return this.#session.move(device)
  }

  /**
   * Waits for all calls made before, then frees the state. Later calls reject. May be called more
   * than once.
   */
  dispose(): Promise<void> {
    return this.#session.dispose()
  }

  /** Disposes of the stream at the end of a scope, with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #input(frame: FrameLike): AnyPixels | Promise<AnyPixels> {
    const { b, engine } = this.#session
    const backend = this.#readsOnGpu && engine.lossReason === null ? engine.backend : undefined
    return toInput(frame, b, this.#model.config.imageSize, backend)
  }
}

/**
 * Checks the options of a stream and fills in the defaults.
 * @param window frames of the default average
 * @throws TrecvitError naming the option, what was expected and what came
 */
export function checkStreamOptions(
  window: number,
  { b = 1, average: wanted = { frames: window } }: Pick<StreamOptions, 'b' | 'average'>,
): { b: number; average: Average } {
  checkCount('b', b)
  const average = averageOf(wanted)
  if (!average)
    throw new TrecvitError(
      `"average" expected 'all', { frames: 1..4096 } or { halfLife: up to 1e5 }, ` +
        `got ${JSON.stringify(wanted)}`,
    )
  return { b, average }
}
