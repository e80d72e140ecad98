import type { MatrixDType } from '../backend/backend.ts'
import { disposedError, type Engines } from '../backend/engines.ts'
import { Lru } from '../base/lru.ts'
import { yieldToEventLoop } from '../platform/platform.ts'
import { type Average, kindOf, type Program } from '../program/program.ts'
import { ahead } from '../stream/ahead.ts'
import { type Outputs, Session } from '../stream/session.ts'
import { type Config, frameSizeOf, tokensOf } from './config.ts'
import { type ProgramOptions, recordModel } from './graph.ts'

/** Options of a session. */
export interface SessionOptions extends Pick<ProgramOptions, 'b' | 'encoded'> {
  /**
   * Average of the second read-out, `recent`. With 'all' there is only the first, over all frames.
   */
  readonly recent: Average
}

/** Largest number of recorded programs in the cache. Recording one takes milliseconds. */
const MOST_PROGRAMS = 32

const byModel = new WeakMap<object, Sessions>()

/**
 * Returns the sessions of a model. Other modules of this package use them; the public interface has
 * none.
 */
export function sessionsOf(model: object): Sessions {
  return byModel.get(model)!
}

/** The programs of a model and the sessions that run them. */
export class Sessions {
  readonly engines: Engines
  readonly config: Config
  readonly #dtype: MatrixDType
  readonly #programs = new Lru<string, Program>(MOST_PROGRAMS)

  /** @param model key for `sessionsOf` */
  constructor(model: object, engines: Engines, config: Config, dtype: MatrixDType) {
    this.engines = engines
    this.config = config
    this.#dtype = dtype
    byModel.set(model, this)
  }

  /** Returns the program for these options, from the cache if possible. */
  program(options: ProgramOptions): Program {
    return this.#programs.get(JSON.stringify(options), () => {
      const record = (streams: number) =>
        recordModel(this.config, { ...options, dtype: this.#dtype, streams })
      return { ...record(1), forStreams: record }
    })
  }

  /**
   * Opens a session for b videos.
   * @throws TrecvitError if the model was disposed of
   */
  open({ b, recent, encoded }: SessionOptions): Session {
    if (this.engines.closed) throw disposedError()
    const kind = kindOf(recent)
    return new Session(
      this.engines,
      b,
      (t, pixels) => this.program({ b, t, pixels, recent: kind, encoded }),
      recent,
    )
  }

  /**
   * Feeds frames [t, H, W, 3] to a session of one video in chunks of a suitable size. A chunk is
   * begun before the outputs of the one before are there. The event loop gets a turn between
   * chunks.
   */
  async *feed(
    session: Session,
    pixels: Uint8Array | Float32Array,
  ): AsyncGenerator<Outputs, void, undefined> {
    for await (const { outputs } of ahead(this.#chunks(session, pixels))) {
      yield outputs
      await yieldToEventLoop()
    }
  }

  *#chunks(
    session: Session,
    pixels: Uint8Array | Float32Array,
  ): Generator<ReturnType<Session['advance']>> {
    const size = frameSizeOf(this.config)
    const most = chunkOf(tokensOf(this.config))
    for (let left = pixels.length / size; left > 0; ) {
      // Two programs suffice for every length: full chunks, then single frames.
      const t = left >= most ? most : 1
      const end = pixels.length - (left - t) * size
      const chunk = session.advance(pixels.subarray(end - t * size, end), t)
      chunk.catch(() => {})
      yield chunk
      left -= t
    }
  }
}

/**
 * Number of frames in a chunk if many are available. With more frames, each weight that is read
 * serves more rows, up to some hundred. With fewer, a chunk ends sooner.
 */
export function chunkOf(n: number): number {
  return Math.min(16, Math.max(1, Math.floor(400 / n)))
}
