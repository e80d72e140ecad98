import type { Device, MatrixDType, Watch } from '../backend/backend.ts'
import type { Health } from '../backend/engines.ts'
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { flopsOf } from '../program/listing.ts'
import type { Program } from '../program/program.ts'
import type { FrameSource } from '../stream/frames.ts'
import { checkStreamOptions, restore } from '../stream/stream.ts'
import { type ClassifyOptions, type ClassifyResult, classify } from './classify.ts'
import { ClassStream } from './classStream.ts'
import { type Config, windowOf } from './config.ts'
import { type ForwardResult, features, forward, runWhole } from './forward.ts'
import { type ClassStreamOptions, classAnswers } from './heads/classification.ts'
import { type Opened, openModel } from './open.ts'
import type { LoadOptions, ModelSource, RunOptions } from './options.ts'
import { Sessions } from './sessions.ts'
import type { Segment, TimelineOptions } from './timeline.ts'

/** One step of a program, timed. */
export interface Timing {
  /** Operation, for example `linear`. */
  readonly op: string
  /** Name of the step, as `trace` has it. */
  readonly name: string
  /** Wall time of the step. */
  readonly milliseconds: number
  /** Floating-point operations, 0 for element-wise steps. */
  readonly flops: number
}

/**
 * A TRecViT with its weights, ready to run, until it is disposed of. Calls after that reject, and
 * so does unfinished work.
 */
export class TRecViT {
  /** What the model is made of, read from the checkpoint. */
  readonly config: Config
  /** Number format of the matrices. */
  readonly dtype: MatrixDType
  /** Names of the classes, or null. */
  readonly labels: readonly string[] | null
  /**
   * Identifies the model. A snapshot can be resumed only by the model with the same fingerprint.
   */
  readonly fingerprint: string
  /** Sentences about the checkpoint: values that are not numbers, tensors that were ignored. */
  readonly warnings: readonly string[]
  readonly #sessions: Sessions

  private constructor({ config, dtype, labels, fingerprint, warnings, engines }: Opened) {
    this.config = config
    this.dtype = dtype
    this.labels = labels
    this.fingerprint = fingerprint
    this.warnings = warnings
    this.#sessions = new Sessions(this, engines, config, dtype)
  }

  /** The device that new streams run on, and why no faster device was chosen. */
  get device(): Device {
    return this.#sessions.engines.current.backend.device
  }

  /**
   * Loads a checkpoint with official tensor names; its configuration is read from names and shapes.
   * 'k400' and 'mae' are downloaded first if they are not stored yet.
   * @param source path, URL, Blob, bytes, or a name: see `ModelSource` for sizes and licence
   * @throws TrecvitError if the file is not one, is damaged, does not fit, or cannot be downloaded
   * @example
   * const model = await TRecViT.load('builtin')
   */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<TRecViT> {
    return new TRecViT(await openModel(source, options))
  }

  /**
   * The official forward pass: each video is cut into max(floor(t / framesPerClip), 1) clips of
   * equal length, each from an empty state.
   * @param frames [t, H, W, 3] or [b, t, H, W, 3] of the model's image size, bytes 0..255 or
   * float32 0..1
   * @throws TrecvitError if the shape does not fit, t is not a multiple of the number of clips, or
   * the model has no head
   * @example
   * const { logits } = await model.forward({ data, shape: [32, 224, 224, 3] })
   */
  async forward(frames: NdArray, options: RunOptions = {}): Promise<ForwardResult> {
    this.#wantHead('forward')
    return forward(this.#sessions, frames, options)
  }

  /**
   * Classifies a video: a file (path, URL, bytes), decoded frames, or an array [t, H, W, 3]. Every
   * frame counts by default: one clip from an empty state to the end.
   * @throws TrecvitError if the video cannot be read or an option is wrong, or the model has no
   * head
   * @example
   * const { top } = await model.classify('clip.mp4', { topK: 3 })
   */
  async classify(video: FrameSource, options: ClassifyOptions = {}): Promise<ClassifyResult> {
    this.#wantHead('classify')
    return classify(this.#sessions, this.labels, video, options)
  }

  /**
   * Returns the segments of a video: frames in a row with the same most probable class. Each answer
   * is about a window, by default half a clip. The first full window also stands for the frames
   * before.
   * @param video a file (path, URL, bytes), decoded frames, or an array [t, H, W, 3]
   * @throws TrecvitError as `classify` does
   * @example
   * for (const { start, end, label } of await model.timeline('clip.mp4')) console.log(start, label)
   */
  async timeline(video: FrameSource, options: TimelineOptions = {}): Promise<Segment[]> {
    this.#wantHead('timeline')
    const { timelineOf } = await import('./timeline.ts')
    return timelineOf(this, video, options)
  }

  /**
   * Encoded tokens [b, t, n, d] after the last norm, in clips as in `forward`.
   * @throws TrecvitError if the shape does not fit
   * @example
   * const { data, shape } = await model.features(frames)
   */
  features(frames: NdArray, options: RunOptions = {}): Promise<NdArray<Float32Array>> {
    return features(this.#sessions, frames, options)
  }

  /**
   * Opens an endless video, or a batch of b. Answers stand for the last half clip by default.
   * @throws TrecvitError if an option is wrong or the model has no head
   * @example
   * const stream = model.stream({ average: { frames: 16 } })
   * const { top } = await stream.push(frame)
   */
  stream(given: ClassStreamOptions = {}): ClassStream {
    checkOptions('stream', given, { b: 1, average: 1, topK: 1 })
    this.#wantHead('stream')
    const { topK, ...options } = given
    const { b, average } = checkStreamOptions(windowOf(this.config), options)
    const answers = classAnswers(this, topK)
    const session = this.#sessions.open({ b, recent: average, encoded: false })
    return new ClassStream(this, session, average, answers)
  }

  /**
   * Continues from a snapshot.
   * @throws TrecvitError if the snapshot is damaged or of another model
   * @example
   * const stream = await model.resume(await readFile('stream.bin'))
   */
  async resume(snapshot: Uint8Array, options: { topK?: number } = {}): Promise<ClassStream> {
    checkOptions('resume', options, { topK: 1 })
    const answers = classAnswers(this, options.topK)
    const { session, average } = await restore(snapshot, this.fingerprint, (b, recent) =>
      this.#sessions.open({ b, recent, encoded: false }),
    )
    return new ClassStream(this, session, average, answers)
  }

  /**
   * Every named tensor of a run over these frames [t, H, W, 3] from an empty state, as one clip.
   */
  trace(frames: NdArray): Promise<Map<string, NdArray<Float32Array>>> {
    return runWhole(this.#sessions, frames, (session, pixels, t) => session.trace(pixels, t))
  }

  /**
   * Time of every step of a run over these frames [t, H, W, 3] from an empty state, after one run
   * to warm up.
   */
  async profile(frames: NdArray): Promise<Timing[]> {
    const timings: Timing[] = []
    const run = (watch: Watch) =>
      runWhole(this.#sessions, frames, (session, pixels, t) =>
        session.advance(pixels, t, { watch }),
      )
    await run(() => {})
    await run((step, milliseconds) => {
      timings.push({ op: step.op, name: step.name, milliseconds, flops: flopsOf(step) })
    })
    return timings
  }

  /** The program that a stream of b videos replays for chunks of t frames. */
  program(options: { b?: number; t?: number } = {}): Program {
    checkOptions('program', options, { b: 1, t: 1 })
    const { b = 1, t = 1 } = options
    return this.#sessions.program({ b, t, pixels: 'u8', recent: 'all', encoded: false })
  }

  /** Whether the model can answer, and how often a device or a worker thread was lost. */
  get health(): Health {
    return this.#sessions.engines.health
  }

  /**
   * Frees the memory of the device and ends its threads. Unfinished work rejects, and so do later
   * calls. May be called more than once.
   */
  dispose(): Promise<void> {
    return this.#sessions.engines.dispose()
  }

  /** Disposes of the model, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #wantHead(what: string): void {
    if (this.config.numClasses === 0)
      throw new TrecvitError(`"${what}" expected a model with a class head; use "features"`)
  }
}
