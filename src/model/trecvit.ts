import type { Device, MatrixDType } from '../backend/backend.ts'
import type { Health } from '../backend/engines.ts'
import type { ModelEvents } from '../backend/listeners.ts'
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import type { Program } from '../program/program.ts'
import { type FrameSource, READ_OPTIONS } from '../stream/frames.ts'
import { restore } from '../stream/restore.ts'
import { checkStreamOptions, Stream } from '../stream/stream.ts'
import type { ReadOptions } from '../video/read.ts'
import { type ClassifyOptions, type ClassifyResult, classify } from './classify.ts'
import { ClassStream } from './classStream.ts'
import { type Config, hasClassHead, windowOf } from './config.ts'
import { type FeatureStream, type FrameFeatures, featureAnswers } from './features.ts'
import { type ForwardResult, features, forward, profile, runWhole, type Timing } from './forward.ts'
import { type ClassStreamOptions, classAnswers } from './heads/classification.ts'
import { type Opened, openModel } from './open.ts'
import type { LoadOptions, ModelSource, RunOptions } from './options.ts'
import { Sessions } from './sessions.ts'
import type { Segment, TimelineOptions } from './timeline.ts'

/** A TRecViT with its weights. After `dispose`, calls and unfinished work reject. */
export class TRecViT {
  /** Configuration of the model, derived from the checkpoint. */
  readonly config: Config
  /** Number format of the matrices. */
  readonly dtype: MatrixDType
  /** Names of the classes, or null. */
  readonly labels: readonly string[] | null
  /**
   * Identifies the model. A snapshot can be resumed only by the model with the same fingerprint.
   */
  readonly fingerprint: string
  /** Warnings about the checkpoint: values that are not finite, tensors that were ignored. */
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
   * Loads a checkpoint with official tensor names. The configuration is derived from names and
   * shapes. 'k400' and 'mae' are downloaded first if they are not stored yet.
   * @param source path, URL, Blob, bytes, or a name: see `ModelSource` for sizes and licence
   * @throws TrecvitError if the file is no checkpoint, is damaged, does not fit, or cannot be
   * downloaded
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
   * Classifies a video: a file (path, URL, bytes), decoded frames, or an array [t, H, W, 3]. By
   * default the answer covers every frame, as one clip.
   * @throws TrecvitError if the video cannot be read, an option is wrong, or the model has no head
   * @example
   * const { top } = await model.classify('clip.mp4', { topK: 3 })
   */
  async classify(video: FrameSource, options: ClassifyOptions = {}): Promise<ClassifyResult> {
    this.#wantHead('classify')
    return classify(this.#sessions, this.labels, video, options)
  }

  /**
   * Returns the segments of a video: consecutive frames with the same most probable class. Each
   * answer covers a window, by default half a clip. The first full window also stands for the
   * frames before.
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
   * Returns the encoded tokens [b, t, n, d] after the last norm, in clips as in `forward`.
   * @throws TrecvitError if the shape does not fit
   * @example
   * const { data, shape } = await model.features(frames)
   */
  features(frames: NdArray, options: RunOptions = {}): Promise<NdArray<Float32Array>> {
    return features(this.#sessions, frames, options)
  }

  /**
   * Opens a stream: an endless video, or a batch of b. Answers cover the last half clip by default.
   * @throws TrecvitError if an option is wrong or the model has no head
   * @example
   * const stream = model.stream({ average: { frames: 16 } })
   * const { top } = await stream.push(frame)
   */
  stream(given: ClassStreamOptions = {}): ClassStream {
    checkOptions('stream', given, { b: 1, average: 1, topK: 1, pixels: 1 })
    this.#wantHead('stream')
    const { b, average } = checkStreamOptions(windowOf(this.config), given)
    const answers = classAnswers(this, given.topK)
    const session = this.#sessions.open({ b, recent: average, encoded: false })
    return new ClassStream(this, session, average, answers, given.pixels)
  }

  /**
   * Opens a stream that continues from a snapshot.
   * @throws TrecvitError if the snapshot is damaged or of another model
   * @example
   * const stream = await model.resume(await readFile('stream.bin'))
   */
  async resume(
    snapshot: Uint8Array,
    options: Pick<ClassStreamOptions, 'topK' | 'pixels'> = {},
  ): Promise<ClassStream> {
    checkOptions('resume', options, { topK: 1, pixels: 1 })
    this.#wantHead('resume')
    const answers = classAnswers(this, options.topK)
    const { session, average } = await restore(snapshot, this.fingerprint, (b, recent) =>
      this.#sessions.open({ b, recent, encoded: false }),
    )
    return new ClassStream(this, session, average, answers, options.pixels)
  }

  /**
   * Opens a stream of features, for a model with or without a head.
   * @throws TrecvitError if an option is wrong
   * @example
   * const { features } = await model.featureStream().push(frame)
   */
  featureStream(options: Pick<ClassStreamOptions, 'b' | 'pixels'> = {}): FeatureStream {
    checkOptions('featureStream', options, { b: 1, pixels: 1 })
    const { b, average } = checkStreamOptions(1, { ...options, average: 'all' })
    const session = this.#sessions.open({ b, recent: average, encoded: true })
    return new Stream(this, session, average, featureAnswers(this.config), options.pixels)
  }

  /**
   * Opens a stream of features that continues from a snapshot.
   * @throws TrecvitError if the snapshot is damaged or of another model
   * @example
   * const stream = await model.resumeFeatures(await readFile('stream.bin'))
   */
  async resumeFeatures(snapshot: Uint8Array): Promise<FeatureStream> {
    const { session, average } = await restore(snapshot, this.fingerprint, (b, recent) =>
      this.#sessions.open({ b, recent, encoded: true }),
    )
    return new Stream(this, session, average, featureAnswers(this.config))
  }

  /**
   * Yields the features of a video, frame by frame, in constant memory.
   * @param video a file (path, URL, bytes), decoded frames, or an array [t, H, W, 3]
   * @param options which frames, and the decoder; `signal` ends the loop
   * @throws TrecvitError if the video cannot be read or an option is wrong
   * @example
   * for await (const { frame, features } of model.featuresOf('clip.mp4', { fps: 5 })) { }
   */
  async *featuresOf(
    video: FrameSource,
    options: ReadOptions = {},
  ): AsyncGenerator<FrameFeatures, void, undefined> {
    checkOptions('featuresOf', options, READ_OPTIONS)
    await using stream = this.featureStream()
    yield* stream.run(video, options)
  }

  /** Returns every named tensor of a run over these frames [t, H, W, 3], as one clip. */
  trace(frames: NdArray): Promise<Map<string, NdArray<Float32Array>>> {
    return runWhole(this.#sessions, frames, (session, pixels, t) => session.trace(pixels, t))
  }

  /**
   * Returns the time of every step of a run over these frames [t, H, W, 3], as one clip. A run to
   * warm up comes first.
   */
  profile(frames: NdArray): Promise<Timing[]> {
    return profile(this.#sessions, frames)
  }

  /** Returns the program that a stream of b videos replays for chunks of t frames. */
  program(options: { b?: number; t?: number } = {}): Program {
    checkOptions('program', options, { b: 1, t: 1 })
    const { b = 1, t = 1 } = options
    return this.#sessions.program({ b, t, pixels: 'u8', recent: 'all', encoded: false })
  }

  /** Whether the model can compute, and how many devices or worker threads were lost. */
  get health(): Health {
    return this.#sessions.engines.health
  }

  /**
   * Adds a listener: 'device' when streams continue on another device after a loss, 'warning' for
   * warnings after loading.
   * @returns a function that removes the listener
   * @throws TrecvitError if the name is no event
   * @example
   * model.on('device', ({ device, reason }) => console.warn(`${reason}: now ${device.backend}`))
   */
  on<E extends keyof ModelEvents>(name: E, listener: (event: ModelEvents[E]) => void): () => void {
    return this.#sessions.engines.listeners.on(name, listener)
  }

  /**
   * Frees the memory of the device and ends its threads. Unfinished work and later calls reject.
   * May be called more than once.
   */
  dispose(): Promise<void> {
    return this.#sessions.engines.dispose()
  }

  /** Disposes of the model at the end of a scope, with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #wantHead(what: string): void {
    if (!hasClassHead(this.config))
      throw new TrecvitError(`"${what}" expected a model with a class head; use "features"`)
  }
}
