import { isOnGpu, type Watch } from '../backend/backend.ts'
import type { Engine, Kind } from '../backend/engine.ts'
import type { EngineSource } from '../backend/engines.ts'
import type { NdArray } from '../base/array.ts'
import { type Average, outputsOf, type Program, type State, statesFor } from '../program/program.ts'
import { type Chunk, History } from './history.ts'
import type { AnyPixels } from './input.ts'
import { jobOf, type Task } from './job.ts'
import { type Placement, Recovery } from './recovery.ts'
import { Runner } from './runner.ts'

/** Outputs of one chunk, row-major, by name. */
export type Outputs = Record<string, Float32Array>

/** Returns the program for a number of frames and a kind of pixels. */
export type ProgramFor = (t: number, pixels: 'u8' | 'f32') => Program

/** Options for one chunk. */
export interface AdvanceOptions {
  readonly watch?: Watch
  /** Removes the chunk from the queue. A chunk under way completes. */
  readonly signal?: AbortSignal | undefined
}

/**
 * b videos with their states. Every method that computes adds a job to the runner (runner.ts). Jobs
 * run in order. After a device loss the session continues on another engine (recovery.ts).
 */
export class Session {
  /** Batch size. */
  readonly b: number
  /** Reports a warning to the listeners of the model. */
  readonly warn: (warning: string) => void
  readonly #programFor: ProgramFor
  readonly #average: Average
  readonly #history = new History()
  readonly #recovery: Recovery
  readonly #runner: Runner
  #saving = false

  /**
   * Makes a session whose states are zero.
   * @param average frames that the read-out `recent` of its programs covers; of the kind that the
   * programs were recorded for
   */
  constructor(engines: EngineSource, b: number, programFor: ProgramFor, average: Average = 'all') {
    this.b = b
    this.warn = engines.warn
    this.#programFor = programFor
    this.#average = average
    this.#recovery = new Recovery(
      engines,
      this.#history,
      (chunk) => this.#programOf(chunk),
      ({ backend }) => backend.createState(this.states, average),
    )
    this.#runner = new Runner(engines, this.#history, this.#recovery)
  }

  /** Number of answered frames since the reset. */
  get frame(): number {
    return this.#history.frame
  }

  /** The states in a snapshot of this session. */
  get states(): readonly State[] {
    return statesFor(this.#programFor(1, 'u8').states, this.#average)
  }

  /** The engine of the session, or the engine that it will use next. */
  get engine(): Engine {
    return this.#recovery.engine
  }

  /** Number of jobs that wait or are under way. */
  get pending(): number {
    return this.#runner.pending
  }

  /** Resolves when the queue is short enough to add more. */
  get ready(): Promise<void> {
    return this.#runner.ready
  }

  /**
   * Runs the next t frames.
   * @param given pixels [b, t, H, W, 3], or a promise of them; those of the CPU are copied, so the
   * caller may change them afterwards
   * @returns the index of the first of the frames since the reset, and the outputs
   * @throws TrecvitError if the session is closed, its queue is full, or no device can compute
   */
  advance(
    given: AnyPixels | Promise<AnyPixels>,
    t: number,
    { watch, signal }: AdvanceOptions = {},
  ): Promise<{ first: number; outputs: Outputs }> {
    const input = given instanceof Promise || isOnGpu(given) ? given : given.slice()
    // If the frame is removed from the queue, nothing awaits its pixels, so their error is ignored.
    if (input instanceof Promise) input.catch(() => {})
    const free = async (): Promise<void> => {
      const read = await Promise.resolve(input).catch(() => null)
      if (read && isOnGpu(read)) read.free()
    }
    let chunk: Chunk
    const answered = this.#enqueue({
      frames: t,
      alone: watch !== undefined,
      bytes: input instanceof Promise ? 0 : input.byteLength,
      signal,
      prepare: async (engine) => {
        const read = await input
        const isOnOtherGpu = isOnGpu(read) && read.owner !== engine.backend
        const pixels = isOnOtherGpu ? await read.bytes : read
        const run = await engine.prepare(this.#programOf({ pixels, t }))
        return async (state, frame) => {
          const outputs = await run(state, frame, { pixels }, watch)
          chunk = { pixels: isOnGpu(pixels) ? await pixels.bytes : pixels, t }
          return outputs
        }
      },
      done: (outputs: Outputs) => {
        const first = this.frame
        this.#keep(chunk)
        return { first, outputs }
      },
    })
    answered.then(free, free)
    return answered
  }

  /** Runs the next t frames as `advance` does, and returns every named tensor. */
  async trace(
    pixels: AnyPixels | Promise<AnyPixels>,
    t: number,
  ): Promise<Map<string, NdArray<Float32Array>>> {
    const tensors = new Map<string, NdArray<Float32Array>>()
    const watch: Watch = async (step, _, read) => {
      for (const output of outputsOf(step))
        tensors.set(output.buffer.name, { data: await read(output), shape: output.shape })
    }
    await this.advance(pixels, t, { watch })
    return tensors
  }

  /** Sets all states to zero. */
  reset(): Promise<void> {
    return this.#enqueue({
      prepare: async () => (state) => state.clear(),
      done: () => this.#history.save(0, null),
    })
  }

  /** Returns copies of the states, and the number of frames before them. */
  read(): Promise<{ frame: number; values: Float32Array[] }> {
    return this.#enqueue({
      prepare: async () => (state) => state.read(),
      done: (values: Float32Array[]) => {
        this.#history.save(this.frame, values)
        return { frame: this.frame, values }
      },
    })
  }

  /** Replaces the states. */
  write(frame: number, values: readonly Float32Array[]): Promise<void> {
    return this.#enqueue({
      prepare: async () => (state) => state.write(values),
      done: () => this.#history.save(frame, values),
    })
  }

  /**
   * Moves the session to another engine, with its state.
   * @throws TrecvitError if there is no such device; the session then stays on its engine
   */
  move(kind: Kind): Promise<void> {
    return this.#enqueue({
      prepare: async () => {
        const placement = await this.#recovery.open(kind)
        return async (state) => {
          try {
            const values = await state.read()
            await placement.state.write(values)
            return { placement, values }
          } catch (error) {
            placement.state.dispose()
            throw error
          }
        }
      },
      done: ({ placement, values }: { placement: Placement; values: Float32Array[] }) => {
        this.#recovery.move(placement)
        this.#history.save(this.frame, values)
      },
      drop: ({ placement }) => placement.state.dispose(),
    })
  }

  /** Waits for all calls made before, then frees the state. Later calls reject. */
  dispose(): Promise<void> {
    return this.#runner.close()
  }

  #programOf({ pixels, t }: { readonly pixels: AnyPixels; readonly t: number }): Program {
    return this.#programFor(t, isOnGpu(pixels) || pixels instanceof Uint8Array ? 'u8' : 'f32')
  }

  /** Adds the job of a task. */
  #enqueue<T, R>(task: Task<T, R>): Promise<R> {
    return new Promise((resolve, reject) => {
      const settled =
        <V>(settle: (value: V) => void) =>
        (value: V): void => {
          ignoreAbort()
          settle(value)
        }
      const job = jobOf(task, settled<R>(resolve), settled(reject))
      const ignoreAbort = this.#runner.add(job, task.signal)
    })
  }

  /**
   * Adds an answered chunk to the history, and saves the state when it is due. A state can be saved
   * only between two chunks.
   */
  #keep(chunk: Chunk): void {
    this.#history.add(chunk)
    if (this.#saving || !this.#history.isDue) return
    this.#saving = true
    this.#runner.addNext({
      frames: 0,
      alone: false,
      bytes: 0,
      reject: () => (this.#saving = false),
      prepare:
        async ({ kind }) =>
        async (state) => {
          const start = performance.now()
          const values = await state.read()
          const milliseconds = performance.now() - start
          const use = (): void => {
            this.#saving = false
            this.#history.saveTimed(kind, values, milliseconds)
          }
          return { use, drop: () => {} }
        },
    })
  }
}
