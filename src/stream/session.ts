import type { StreamState, Watch } from '../backend/backend.ts'
import type { Engine, Kind } from '../backend/engine.ts'
import { disposedError, type EngineSource } from '../backend/engines.ts'
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { type Average, type Program, type State, statesFor } from '../program/program.ts'
import { History } from './history.ts'
import { type Job, Queue, type Result } from './queue.ts'

/** What one chunk gives: the program's outputs, row-major, by name. */
export type Outputs = Record<string, Float32Array>

/** The programs of a session: one for each number of frames and kind of pixels. */
export type ProgramFor = (t: number, pixels: 'u8' | 'f32') => Program

/** How a chunk is run. */
export interface AdvanceOptions {
  readonly watch?: Watch
  /** Takes the chunk out of the queue. A chunk that is under way is answered all the same. */
  readonly signal?: AbortSignal | undefined
}

/** Jobs under way at once: on a GPU a chunk is encoded while the one before it is computed. */
const DEPTH: Record<Kind, number> = { wasm: 1, webgpu: 2 }
/**
 * Losses without a result in between after which a GPU gives way to the CPU, and the CPU gives up.
 */
const PATIENCE = 3

/** What a caller of a session asks for. */
interface Task<T, R> {
  /** Frames that it takes the stream on, none unless given. */
  readonly frames?: number
  /** Unless false, nothing may be under way beside it. */
  readonly alone?: boolean
  /** Bytes that it holds while it waits, none unless given. */
  readonly bytes?: number
  readonly signal?: AbortSignal | undefined
  /** Gets all that issuing needs of the engine, so that issuing is synchronous. */
  prepare(engine: Engine): Promise<(state: StreamState, frame: number) => Promise<T>>
  /** Called with the result in the job's turn. */
  done(result: T): R
  /** Frees a result that is not used. */
  drop?(result: T): void
}

/** A job on the device. */
interface UnderWay {
  readonly job: Job
  readonly result: Promise<Result>
}

/** Where a session lives. */
interface Home {
  readonly engine: Engine
  readonly state: StreamState
}

/**
 * b videos with their carried state. Jobs run in the order in which they were asked for.
 *
 *   open ── dispose ──▶ closing ── queue empty ──▶ closed
 *
 * An open or closing session has a home (an engine and the state on it) or none:
 *
 *   no home ── settle: state from the history ──▶ home ── device lost ──▶ no home
 *
 * When a device is lost, all that it has not answered returns to the queue and is computed again on
 * the engine that follows, from the last saved state. Each result comes once, in order.
 */
export class Session {
  /** Batch size. */
  readonly b: number
  /** Frames since the reset that have been answered. */
  frame = 0
  readonly #engines: EngineSource
  readonly #programFor: ProgramFor
  readonly #average: Average
  readonly #queue = new Queue()
  readonly #underWay: UnderWay[] = []
  readonly #history = new History()
  #home: Home | undefined
  #next: Engine | undefined
  /** Frames since the reset that have been issued. */
  #issued = 0
  #losses = 0
  #saving = false
  #running = false
  #closing: Promise<void> | undefined
  #closed = (): void => {}

  /** @param average of the second answer of its programs, of whose kind it is */
  constructor(engines: EngineSource, b: number, programFor: ProgramFor, average: Average = 'all') {
    this.#engines = engines
    this.b = b
    this.#programFor = programFor
    this.#average = average
  }

  /** The states that a snapshot of this session holds. */
  get states(): readonly State[] {
    return statesFor(this.#programFor(1, 'u8').states, this.#average)
  }

  /** The engine that the session runs on, or will. */
  get engine(): Engine {
    return this.#home?.engine ?? this.#next ?? this.#engines.current
  }

  /** Jobs that wait or are under way. */
  get pending(): number {
    return this.#queue.length + this.#underWay.length
  }

  /** Resolves when little enough waits that a caller should ask for more. */
  get ready(): Promise<void> {
    return this.#queue.ready
  }

  /**
   * Runs the next t frames.
   * @param pixels [b, t, H, W, 3]; copied, so the caller may change them afterwards
   * @returns the index of the first of the frames since the reset, and the outputs
   * @throws TrecvitError if the session has ended, its queue is full, or nothing can compute
   */
  advance(
    pixels: Uint8Array | Float32Array,
    t: number,
    { watch, signal }: AdvanceOptions = {},
  ): Promise<{ first: number; outputs: Outputs }> {
    const chunk = { pixels: pixels.slice(), t }
    return this.#ask({
      frames: t,
      alone: watch !== undefined,
      bytes: chunk.pixels.byteLength,
      signal,
      prepare: async (engine) => {
        const program = this.#programFor(t, pixels instanceof Uint8Array ? 'u8' : 'f32')
        const prepared = await engine.prepare(program)
        return (state, frame) => prepared.run(state, frame, { pixels: chunk.pixels }, watch)
      },
      done: (outputs: Outputs) => {
        const first = this.frame
        this.frame += t
        this.#keep(chunk)
        return { first, outputs }
      },
    })
  }

  /** Runs the next t frames as `advance` does, and gives every named tensor. */
  async trace(
    pixels: Uint8Array | Float32Array,
    t: number,
  ): Promise<Map<string, NdArray<Float32Array>>> {
    const tensors = new Map<string, NdArray<Float32Array>>()
    const watch: Watch = async (step, _, read) =>
      void tensors.set(step.name, { data: await read(), shape: step.output.shape })
    await this.advance(pixels, t, { watch })
    return tensors
  }

  /** Forgets all frames. */
  reset(): Promise<void> {
    return this.#ask({
      prepare: async () => (state) => state.clear(),
      done: () => this.#arrive(0, null),
    })
  }

  /** Copies of the states and the number of frames that led to them. */
  read(): Promise<{ frame: number; values: Float32Array[] }> {
    return this.#ask({
      prepare: async () => (state) => state.read(),
      done: (values: Float32Array[]) => {
        this.#history.save(this.frame, values)
        return { frame: this.frame, values }
      },
    })
  }

  /** Replaces the states. */
  write(frame: number, values: readonly Float32Array[]): Promise<void> {
    return this.#ask({
      prepare: async () => (state) => state.write(values),
      done: () => this.#arrive(frame, values),
    })
  }

  /**
   * Goes on on another engine, with the state.
   * @throws TrecvitError if there is no such device; the session stays where it is
   */
  move(kind: Kind): Promise<void> {
    return this.#ask({
      prepare: async () => {
        const engine = await this.#engines.get(kind)
        return async (state) => {
          const values = await state.read()
          const moved = await engine.backend.createState(this.states, this.#average)
          try {
            await moved.write(values)
          } catch (error) {
            moved.dispose()
            throw error
          }
          return { home: { engine, state: moved }, values }
        }
      },
      done: ({ home, values }: { home: Home; values: Float32Array[] }) => {
        this.#home!.state.dispose()
        this.#home = home
        this.#history.save(this.frame, values)
      },
      drop: ({ home }) => home.state.dispose(),
    })
  }

  /** Frees the state, after all that was asked for before. What is asked for afterwards rejects. */
  dispose(): Promise<void> {
    if (!this.#closing) {
      this.#closing = new Promise((resolve) => (this.#closed = resolve))
      if (!this.#running) this.#close()
    }
    return this.#closing
  }

  /** Queues a job. */
  #ask<T, R>(task: Task<T, R>): Promise<R> {
    const { frames = 0, alone = true, bytes = 0, signal } = task
    return new Promise((resolve, reject) => {
      if (this.#closing) throw new TrecvitError('The stream was disposed of; open another one')
      if (this.#engines.closed) throw disposedError()
      const prepare: Job['prepare'] = async (engine) => {
        const run = await task.prepare(engine)
        return async (state, frame) => {
          const result = await run(state, frame)
          return { use: () => resolve(task.done(result)), drop: () => task.drop?.(result) }
        }
      }
      this.#queue.add({ frames, alone, bytes, prepare, failed: reject }, signal)
      if (!this.#running) void this.#run()
    })
  }

  /** The stream is at another place: nothing before it is needed any more. */
  #arrive(frame: number, values: readonly Float32Array[] | null): void {
    this.frame = frame
    this.#issued = frame
    this.#history.save(frame, values)
  }

  /** Keeps an answered chunk, and saves the state now and then, between two chunks. */
  #keep(chunk: { pixels: Uint8Array | Float32Array; t: number }): void {
    this.#history.add(chunk)
    if (this.#saving || !this.#history.isDue) return
    this.#saving = true
    this.#queue.addFirst([
      {
        frames: 0,
        alone: false,
        bytes: 0,
        prepare: async () => async (state) => {
          const start = performance.now()
          const values = await state.read()
          const milliseconds = performance.now() - start
          const use = (): void => {
            this.#saving = false
            this.#history.saveTimed(this.engine.kind, this.frame, values, milliseconds)
          }
          return { use, drop: () => {} }
        },
        failed: () => (this.#saving = false),
      },
    ])
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.pending) {
      if (this.#engines.closed) {
        this.#failAll(new TrecvitError('The model was disposed of before its work was done'))
        break
      }
      try {
        const home = await this.#settle()
        await this.#issue(home)
        await this.#finish(home)
      } catch (error) {
        await this.#recover(error)
      }
    }
    this.#running = false
    if (this.#closing) this.#close()
  }

  /** The home, or a new one with the state of the frames answered so far. */
  async #settle(): Promise<Home> {
    if (this.#home) return this.#home
    const engine = (this.#next ??= this.#engines.current)
    if (engine.lost !== null) throw new Error(engine.lost)
    const state = await engine.backend.createState(this.states, this.#average)
    try {
      const { saved, chunks } = this.#history
      if (saved.values) await state.write(saved.values)
      let frame = saved.frame
      for (const { pixels, t } of chunks) {
        const prepared = await engine.prepare(
          this.#programFor(t, pixels instanceof Uint8Array ? 'u8' : 'f32'),
        )
        await prepared.run(state, frame, { pixels })
        frame += t
      }
      if (engine.lost !== null) throw new Error(engine.lost)
    } catch (error) {
      state.dispose()
      throw error
    }
    this.#issued = this.frame
    return (this.#home = { engine, state })
  }

  /** Puts as many jobs on the device as may be under way. */
  async #issue({ engine, state }: Home): Promise<void> {
    while (this.#queue.length && this.#underWay.length < DEPTH[engine.kind]) {
      if (this.#underWay.length && (this.#queue.first!.alone || this.#underWay[0]!.job.alone))
        return
      const job = this.#queue.take()
      let start: Awaited<ReturnType<Job['prepare']>>
      try {
        start = await job.prepare(engine)
      } catch (error) {
        if (engine.lost !== null || !(error instanceof TrecvitError)) {
          this.#queue.addFirst([job])
          throw error
        }
        job.failed(error)
        continue
      }
      const result = start(state, this.#issued)
      result.catch(() => {})
      this.#issued += job.frames
      this.#underWay.push({ job, result })
    }
  }

  /** Waits for the oldest job under way. */
  async #finish({ engine }: Home): Promise<void> {
    const oldest = this.#underWay[0]
    if (!oldest) return
    const result = await oldest.result
    if (engine.lost !== null) throw new Error(engine.lost)
    this.#underWay.shift()
    this.#losses = 0
    result.use()
  }

  /**
   * After an error of the engine or of a job. If the device is lost, or a GPU fails in a way that
   * nothing explains, all unanswered jobs are asked for again on the engine that follows. Otherwise
   * the oldest job has failed, and the state is made again without it.
   */
  async #recover(error: unknown): Promise<void> {
    if (this.#engines.closed) return
    const { engine } = this
    const isLoss =
      engine.lost !== null || (engine.kind === 'webgpu' && !(error instanceof TrecvitError))
    const failed = isLoss ? undefined : (this.#underWay.shift()?.job ?? this.#queue.take())
    this.#takeBack()
    this.#leave()
    if (failed) return failed.failed(asTrecvitError(error))
    this.#losses++
    const why = engine.lost ?? (error instanceof Error ? error.message : String(error))
    try {
      const givesUp = this.#losses > PATIENCE
      if (givesUp && engine.kind === 'wasm')
        throw new TrecvitError(
          `The CPU backend failed ${this.#losses} times in a row (${why}); ` +
            'the next frame starts it again',
        )
      this.#next = givesUp
        ? await this.#engines.get('wasm')
        : await this.#engines.replace(engine, why)
    } catch (hopeless) {
      this.#losses = 0
      this.#failAll(asTrecvitError(hopeless))
    }
  }

  #close(): void {
    this.#leave()
    this.#history.save(0, null)
    this.#closed()
  }

  #leave(): void {
    this.#home?.state.dispose()
    this.#home = undefined
  }

  /** Returns to the queue what is under way. Its results are not used, should they still come. */
  #takeBack(): void {
    const all = this.#underWay.splice(0)
    for (const { result } of all)
      result.then(
        ({ drop }) => drop(),
        () => {},
      )
    this.#queue.addFirst(all.map(({ job }) => job))
  }

  #failAll(error: unknown): void {
    this.#takeBack()
    while (this.#queue.length) this.#queue.take().failed(error)
    this.#leave()
  }
}

function asTrecvitError(error: unknown): TrecvitError {
  if (error instanceof TrecvitError) return error
  return new TrecvitError(
    `The frame could not be computed (${error instanceof Error ? error.message : String(error)})`,
    { cause: error },
  )
}
