import type { Backend, Device, MatrixDType } from '../backend/backend.ts'
import { disposedError, Engines, type Health } from '../backend/engines.ts'
import type { CpuOptions } from '../backend/wasm/open.ts'
import { checkArray, checkPixels, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { Lru } from '../base/lru.ts'
import { openBuiltin } from '../builtin.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { breathe } from '../platform/platform.ts'
import { flopsOf } from '../program/listing.ts'
import { type Average, kindOf, type Program } from '../program/program.ts'
import { type Outputs, Session } from '../stream/session.ts'
import { checkStreamOptions, restore, Stream, type StreamOptions } from '../stream/stream.ts'
import type { ClassifyOptions, ClassifyResult, VideoSource } from './classify.ts'
import { type Config, frameSizeOf, tokensOf } from './config.ts'
import { type ProgramOptions, recordModel } from './graph.ts'
import { carriedConfig, checkTensors, inferConfig } from './infer.ts'
import { labelsFor } from './labels.ts'
import { type Loaded, loadWeights, storedDType } from './load.ts'
import { nameWarnings, openOfficial } from './official.ts'
import { smallModel } from './smallModel.ts'
import { weightTable } from './weights.ts'

/**
 * Where a model comes from: a path or URL of an .npz or .safetensors file, its bytes, or the model
 * that ships with the package.
 */
export type ModelSource = 'builtin' | (string & {}) | URL | Blob | ArrayBuffer | Uint8Array

/** How a model is loaded. */
export interface LoadOptions extends CpuOptions {
  /**
   * Where it runs: the best that is there (a GPU that passes a self-test, else the CPU), or the one
   * that is named.
   */
  readonly device?: 'auto' | 'webgpu' | 'wasm'
  /**
   * Number format of the matrices: what the file holds unless given. 'f16' rounds them, which costs
   * at most 1e-2 of the largest logit, and halves the memory of a GPU; sums are float32 in any
   * case. 'int8' makes whole numbers of those of the layers, and of what they are multiplied with:
   * faster on the CPU, where alone it runs, and a little less exact.
   */
  readonly dtype?: MatrixDType
  /** Entry point of WebGPU, where it is not `navigator.gpu` or that of the package `webgpu`. */
  readonly gpu?: GPU
  /**
   * What the file does not tell (framesPerClip, imageSize), or numClasses 0 to leave a head aside.
   */
  readonly config?: Partial<Config>
  /** Names of the classes, in order. */
  readonly labels?: readonly string[]
  /** Bytes of weights done, and of all. */
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** How long work is followed and stopped. */
export interface RunOptions {
  /** Frames done, and of all. */
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** The answer of the whole model to b videos (trecvit/modules.py TRecViT.__call__). */
export interface ForwardResult {
  /** [b, c]: mean over the clips of clipLogits. */
  readonly logits: NdArray<Float32Array>
  /** [b, c]: mean over the clips of clipProbs, which is not the softmax of `logits`. */
  readonly probs: NdArray<Float32Array>
  /** [b, clips, c] */
  readonly clipLogits: NdArray<Float32Array>
  /** [b, clips, c] */
  readonly clipProbs: NdArray<Float32Array>
  /** [b, clips, rep]: mean over the frames of a clip. */
  readonly preLogits: NdArray<Float32Array>
}

/** How a session is opened. */
export interface SessionOptions extends Pick<ProgramOptions, 'b' | 'encoded'> {
  /**
   * Frames that the second answer, `recent`, is averaged over; with 'all' there is only the model's
   * own.
   */
  readonly recent: Average
}

/** One step of a program, timed. */
export interface Timing {
  readonly op: string
  readonly name: string
  readonly milliseconds: number
  /** Floating-point operations, 0 for element-wise steps. */
  readonly flops: number
}

/** Programs that a model keeps: recording one anew takes milliseconds. */
const MOST_PROGRAMS = 32

/**
 * A TRecViT with its weights, ready to run, until it is disposed of. What is asked of it afterwards
 * rejects, and so does work that is not done by then.
 */
export class TRecViT {
  /** What the model is made of, read from the checkpoint. */
  readonly config: Config
  /** Number format of the matrices. */
  readonly dtype: MatrixDType
  /** Names of the classes, or null. */
  readonly labels: readonly string[] | null
  /** Tells this model from others; a snapshot belongs to one. */
  readonly fingerprint: string
  /** Sentences about the checkpoint: values that are not numbers, tensors that were ignored. */
  readonly warnings: readonly string[]
  readonly #engines: Engines
  readonly #programs = new Lru<string, Program>(MOST_PROGRAMS)

  private constructor(
    config: Config,
    dtype: MatrixDType,
    labels: readonly string[] | null,
    engines: Engines,
    { fingerprint, warnings }: Loaded,
  ) {
    this.config = config
    this.dtype = dtype
    this.labels = labels
    this.fingerprint = fingerprint
    this.warnings = warnings
    this.#engines = engines
  }

  /** What new streams run on, and why not on something better. */
  get device(): Device {
    return this.#engines.current.backend.device
  }

  /**
   * Loads a checkpoint with official tensor names; its configuration is read from names and shapes.
   * @throws TrecvitError if the file is not one, is damaged, or does not fit
   */
  static async load(
    source: ModelSource,
    {
      device = 'auto',
      dtype: wanted,
      gpu,
      config: given = {},
      labels,
      onProgress,
      signal,
      ...cpu
    }: LoadOptions = {},
  ): Promise<TRecViT> {
    if (device !== 'auto' && device !== 'webgpu' && device !== 'wasm')
      throw new TrecvitError(
        `"device" expected 'auto', 'webgpu' or 'wasm', got ${describe(device)}`,
      )
    if (wanted !== undefined && wanted !== 'f32' && wanted !== 'f16' && wanted !== 'int8')
      throw new TrecvitError(`"dtype" expected 'f32', 'f16' or 'int8', got ${describe(wanted)}`)
    const { threads } = cpu
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64))
      throw new TrecvitError(
        `"threads" expected a whole number from 1 to 64, got ${describe(threads)}`,
      )
    const from = source === 'builtin' ? await openBuiltin() : source
    const official = await openOfficial(from, signal ? { signal } : {})
    const { checkpoint } = official
    try {
      const config = inferConfig(
        checkpoint.name,
        checkpoint.tensors,
        { ...carriedConfig(checkpoint.metadata['config']), ...given },
        checkpoint.skipped,
      )
      const ignored = checkTensors(checkpoint.name, checkpoint.tensors, config, checkpoint.skipped)
      const names = await labelsFor(config.numClasses, labels, checkpoint.metadata['labels'])
      const dtype = wanted ?? storedDType(checkpoint.tensors, config)
      let loaded: Loaded | undefined
      // Let go of after loading, with the memory that reading it took.
      let opened: Checkpoint | undefined = checkpoint
      const fill = async (backend: Backend, closing: AbortSignal): Promise<void> => {
        // A second engine, long after, reads the file again.
        if (loaded) await reload(from, config, dtype, backend, loaded.fingerprint, closing)
        else loaded = await loadWeights(opened!, config, backend, { dtype, onProgress, signal })
      }
      const engines = await Engines.open(device, {
        weights: weightTable(config, dtype),
        dtype,
        fill,
        smallModel,
        cpu,
        gpu,
      })
      opened = undefined
      const { fingerprint, warnings } = loaded!
      return new TRecViT(config, dtype, names, engines, {
        fingerprint,
        warnings: [...warnings, ...nameWarnings(official, ignored)],
      })
    } finally {
      await checkpoint.close()
    }
  }

  /**
   * The official forward pass: each video is cut into max(floor(t / framesPerClip), 1) clips of
   * equal length, each from an empty state.
   * @param frames [t, H, W, 3] or [b, t, H, W, 3] of the model's image size, bytes 0..255 or
   * float32 0..1
   * @throws TrecvitError if the shape does not fit, t is not a multiple of the number of clips, or
   * the model has no head
   */
  async forward(frames: NdArray, options: RunOptions = {}): Promise<ForwardResult> {
    this.#wantHead('forward')
    const { b, clips, rest } = await this.#clips(frames, false, options)
    const { numClasses: c, repSize } = this.config
    // The answer of a clip is that of its last frame.
    const last = (name: string, size: number) =>
      join(rest.map((chunks) => chunks[chunks.length - 1]![name]!.slice(-size)))
    const clipLogits = last('logits', c)
    const clipProbs = last('probs', c)
    return {
      logits: { data: meanOverClips(clipLogits, b, clips, c), shape: [b, c] },
      probs: { data: meanOverClips(clipProbs, b, clips, c), shape: [b, c] },
      clipLogits: { data: clipLogits, shape: [b, clips, c] },
      clipProbs: { data: clipProbs, shape: [b, clips, c] },
      preLogits: { data: last('pre_logits', repSize), shape: [b, clips, repSize] },
    }
  }

  /**
   * Classifies a video: a file (path, URL, bytes), decoded frames, or an array [t, H, W, 3]. Unless
   * clips are asked for, every frame counts: one clip from an empty state to the end.
   * @throws TrecvitError if the video cannot be read or an option is wrong, or the model has no
   * head
   */
  async classify(video: VideoSource, options: ClassifyOptions = {}): Promise<ClassifyResult> {
    this.#wantHead('classify')
    const { classify } = await import('./classify.ts')
    return classify(this, video, options)
  }

  /**
   * Encoded tokens [b, t, n, d] after the last norm, in clips as in `forward`.
   * @throws TrecvitError if the shape does not fit
   */
  async features(frames: NdArray, options: RunOptions = {}): Promise<NdArray<Float32Array>> {
    const { b, t, rest } = await this.#clips(frames, true, options)
    return {
      data: join(rest.flatMap((chunks) => chunks.map((outputs) => outputs['encoded']!))),
      shape: [b, t, tokensOf(this.config), this.config.width],
    }
  }

  /**
   * Opens an endless video, or b side by side.
   * @throws TrecvitError if an option is wrong or the model has no head
   */
  stream(options: StreamOptions = {}): Stream {
    this.#wantHead('stream')
    const { b, average, topK } = checkStreamOptions(options)
    return new Stream(this, this.session({ b, recent: average, encoded: false }), {
      b,
      average,
      topK,
    })
  }

  /**
   * Goes on where a snapshot was taken.
   * @throws TrecvitError if the snapshot is damaged or of another model
   */
  async resume(snapshot: Uint8Array, { topK = 5 }: { topK?: number } = {}): Promise<Stream> {
    const { session, b, average } = await restore(snapshot, this.fingerprint, (options) =>
      this.session({ b: options.b, recent: options.average, encoded: false }),
    )
    return new Stream(this, session, checkStreamOptions({ b, average, topK }))
  }

  /**
   * Every named tensor of a run over these frames [t, H, W, 3] from an empty state, as one clip.
   */
  trace(frames: NdArray): Promise<Map<string, NdArray<Float32Array>>> {
    return this.#whole(frames, (session, pixels, t) => session.trace(pixels, t))
  }

  /**
   * Time of every step of a run over these frames [t, H, W, 3] from an empty state, after one run
   * to warm up.
   */
  async profile(frames: NdArray): Promise<Timing[]> {
    const timings: Timing[] = []
    await this.#whole(frames, (session, pixels, t) =>
      session.advance(pixels, t, { watch: () => {} }),
    )
    await this.#whole(frames, (session, pixels, t) =>
      session.advance(pixels, t, {
        watch: (step, milliseconds) =>
          void timings.push({ op: step.op, name: step.name, milliseconds, flops: flopsOf(step) }),
      }),
    )
    return timings
  }

  /** The program that a stream of b videos replays for chunks of t frames. */
  program({ b = 1, t = 1 }: { b?: number; t?: number } = {}): Program {
    return this.#program({ b, t, pixels: 'u8', recent: 'all', encoded: false })
  }

  /**
   * Videos with their carried state, chunk by chunk: what `stream`, `forward` and `features` are
   * made of.
   */
  session({ b, recent, encoded }: SessionOptions): Session {
    if (this.#engines.closed) throw disposedError()
    const kind = kindOf(recent)
    return new Session(
      this.#engines,
      b,
      (t, pixels) => this.#program({ b, t, pixels, recent: kind, encoded }),
      recent,
    )
  }

  /** Whether the model can answer, and how often a device or a worker thread was lost. */
  get health(): Health {
    return this.#engines.health
  }

  /**
   * Frees the memory of the device and ends its threads. Work that is not done by then rejects, and
   * so does what is asked for later. May be called more than once.
   */
  dispose(): Promise<void> {
    return this.#engines.dispose()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Each program is recorded once. */
  #program(options: ProgramOptions): Program {
    return this.#programs.get(JSON.stringify(options), () =>
      recordModel(this.config, { ...options, dtype: this.dtype }),
    )
  }

  #wantHead(what: string): void {
    if (this.config.numClasses === 0)
      throw new TrecvitError(`"${what}" expected a model with a class head; use "features"`)
  }

  /** Checks frames [t, H, W, 3] or [b, t, H, W, 3] and their values. */
  #checkFrames(frames: NdArray): { pixels: NdArray['data']; b: number; t: number } {
    const pixels = checkArray('frames', frames)
    const shape = frames.shape.length === 4 ? [1, ...frames.shape] : frames.shape
    const expected = [...this.config.imageSize, 3]
    if (
      shape.length !== 5 ||
      String(shape.slice(2)) !== String(expected) ||
      shape[0]! < 1 ||
      shape[1]! < 1
    ) {
      throw new TrecvitError(
        `"frames" expected shape [t,${expected}] or [b,t,${expected}], got [${frames.shape}]`,
      )
    }
    checkPixels('frames', pixels)
    return { pixels, b: shape[0]!, t: shape[1]! }
  }

  /**
   * Runs every clip of every video from an empty state, in chunks; `rest` holds the chunks' outputs
   * for each clip.
   */
  async #clips(
    frames: NdArray,
    encoded: boolean,
    { onProgress, signal }: RunOptions,
  ): Promise<{ b: number; t: number; clips: number; rest: Outputs[][] }> {
    const { pixels, b, t } = this.#checkFrames(frames)
    const clips = Math.max(Math.floor(t / this.config.framesPerClip), 1)
    if (t % clips)
      throw new TrecvitError(
        `"frames" of ${t} expected a multiple of their ${clips} clips; drop ${t % clips} of them`,
      )
    const session = this.session({ b: 1, recent: 'all', encoded })
    try {
      const rest: Outputs[][] = []
      for (let clip = 0; clip < b * clips; clip++) {
        const size = (t / clips) * frameSizeOf(this.config)
        if (clip) await session.reset()
        const chunks: Outputs[] = []
        for await (const outputs of this.chunks(
          session,
          pixels.subarray(clip * size, (clip + 1) * size),
        )) {
          chunks.push(outputs)
          signal?.throwIfAborted()
          onProgress?.(clip * (t / clips) + session.frame, b * t)
        }
        rest.push(chunks)
      }
      return { b, t, clips, rest }
    } finally {
      await session.dispose()
    }
  }

  /**
   * Feeds frames [t, H, W, 3] to a session of one video in chunks of a good size, and lets the
   * event loop turn between them.
   */
  async *chunks(
    session: Session,
    pixels: Uint8Array | Float32Array,
  ): AsyncGenerator<Outputs, void, undefined> {
    const size = frameSizeOf(this.config)
    const most = chunkOf(tokensOf(this.config))
    for (let left = pixels.length / size; left > 0; ) {
      // Two programs serve every length: whole chunks, then single frames.
      const t = left >= most ? most : 1
      const { outputs } = await session.advance(
        pixels.subarray(pixels.length - left * size, pixels.length - (left - t) * size),
        t,
      )
      yield outputs
      left -= t
      await breathe()
    }
  }

  /** Runs one video as one clip, with the encoded tokens. */
  async #whole<T>(
    frames: NdArray,
    run: (session: Session, pixels: NdArray['data'], t: number) => Promise<T>,
  ): Promise<T> {
    const { pixels, b, t } = this.#checkFrames(frames)
    if (b !== 1) throw new TrecvitError(`"frames" expected one video, got ${b}`)
    const session = this.session({ b, recent: 'all', encoded: true })
    try {
      return await run(session, pixels, t)
    } finally {
      await session.dispose()
    }
  }
}

/**
 * Frames of one chunk when many are at hand: enough that a weight, once read, serves some hundred
 * rows, few enough that a chunk ends soon.
 */
function chunkOf(n: number): number {
  return Math.min(16, Math.max(1, Math.floor(400 / n)))
}

/** @throws TrecvitError if the file is not what it was when the model was loaded */
async function reload(
  from: Exclude<ModelSource, 'builtin'>,
  config: Config,
  dtype: MatrixDType,
  backend: Backend,
  fingerprint: string,
  signal: AbortSignal,
): Promise<void> {
  const { checkpoint } = await openOfficial(from, { signal })
  try {
    checkTensors(checkpoint.name, checkpoint.tensors, config, checkpoint.skipped)
    const again = await loadWeights(checkpoint, config, backend, { dtype, signal })
    if (again.fingerprint !== fingerprint)
      throw new TrecvitError(
        `${checkpoint.name} has changed since the model was loaded; load it again`,
      )
  } finally {
    await checkpoint.close()
  }
}

function join(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** [b, clips, c] → [b, c], summed in order in float64. */
function meanOverClips(values: Float32Array, b: number, clips: number, c: number): Float32Array {
  return Float32Array.from({ length: b * c }, (_, index) => {
    const video = Math.floor(index / c)
    let sum = 0
    for (let clip = 0; clip < clips; clip++)
      sum += values[(video * clips + clip) * c + (index % c)]!
    return sum / clips
  })
}
