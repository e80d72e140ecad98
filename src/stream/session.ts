import type { Watch } from '../backend/backend.ts'
import type { Engine, Kind } from '../backend/engine.ts'
import type { EngineSource } from '../backend/engines.ts'
import type { NdArray } from '../base/array.ts'
import { type Average, outputsOf, type Program, type State, statesFor } from '../program/program.ts'
import { type Chunk, History } from './history.ts'
import type { Pixels } from './input.ts'
import { jobOf, type Task } from './job.ts'
import { type Place, Recovery } from './recovery.ts'
import { Runner } from './runner.ts'

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

/**
 * b videos with their carried state. Every method that computes adds a job to the runner
 * (runner.ts); jobs run in the order in which they were added, whatever happens to the device.
 */
export class Session {
  /** Batch size. */
  readonly b: number
  readonly #programFor: ProgramFor
  readonly #average: Average
  readonly #history = new History()
  readonly #recovery: Recovery
  readonly #runner: Runner
  #saving = false

  /** @param average of the second answer of its programs, of whose kind it is */
  constructor(engines: EngineSource, b: number, programFor: ProgramFor, average: Average = 'all') {
    this.b = b
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

  /** Frames since the reset that have been answered. */
  get frame(): number {
    return this.#history.frame
  }

  /** The states that a snapshot of this session holds. */
  get states(): readonly State[] {
    return statesFor(this.#programFor(1, 'u8').states, this.#average)
  }

  /** The engine that the session runs on, or will. */
  get engine(): Engine {
    return this.#recovery.engine
  }

  /** Jobs that wait or are under way. */
  get pending(): number {
    return this.#runner.pending
  }

  /** Resolves when little enough waits that a caller should ask for more. */
  get ready(): Promise<void> {
    return this.#runner.ready
  }

  /**
   * Runs the next t frames.
   * @param given pixels [b, t, H, W, 3], which are copied, so that the caller may change them
   * afterwards; or their promise
   * @returns the index of the first of the frames since the reset, and the outputs
   * @throws TrecvitError if the session has ended, its queue is full, or nothing can compute
   */
  advance(
    given: Pixels | Promise<Pixels>,
    t: number,
    { watch, signal }: AdvanceOptions = {},
  ): Promise<{ first: number; outputs: Outputs }> {
    const pixels = given instanceof Promise ? given : given.slice()
    // A frame that is taken out of the queue is not waited for.
    if (pixels instanceof Promise) pixels.catch(() => {})
    let chunk: Chunk
    return this.#ask({
      frames: t,
      alone: watch !== undefined,
      bytes: pixels instanceof Promise ? 0 : pixels.byteLength,
      signal,
      prepare: async (engine) => {
        chunk = { pixels: await pixels, t }
        const run = await engine.prepare(this.#programOf(chunk))
        return (state, frame) => run(state, frame, { pixels: chunk.pixels }, watch)
      },
      done: (outputs: Outputs) => {
        const first = this.frame
        this.#keep(chunk)
        return { first, outputs }
      },
    })
  }

  /** Runs the next t frames as `advance` does, and gives every named tensor. */
  async trace(
    pixels: Pixels | Promise<Pixels>,
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

  /** Forgets all frames. */
  reset(): Promise<void> {
    return this.#ask({
      prepare: async () => (state) => state.clear(),
      done: () => this.#history.save(0, null),
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
      done: () => this.#history.save(frame, values),
    })
  }

  /**
   * Goes on on another engine, with the state.
   * @throws TrecvitError if there is no such device; the session stays where it is
   */
  move(kind: Kind): Promise<void> {
    return this.#ask({
      prepare: async () => {
        const place = await this.#recovery.open(kind)
        return async (state) => {
          try {
            const values = await state.read()
            await place.state.write(values)
            return { place, values }
          } catch (error) {
            place.state.dispose()
            throw error
          }
        }
      },
      done: ({ place, values }: { place: Place; values: Float32Array[] }) => {
        this.#recovery.move(place)
        this.#history.save(this.frame, values)
      },
      drop: ({ place }) => place.state.dispose(),
    })
  }

  /** Frees the state, after all that was asked for before. What is asked for afterwards rejects. */
  dispose(): Promise<void> {
    return this.#runner.close()
  }

  #programOf({ pixels, t }: Chunk): Program {
    return this.#programFor(t, pixels instanceof Uint8Array ? 'u8' : 'f32')
  }

  /** Adds the job of a task. */
  #ask<T, R>(task: Task<T, R>): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#runner.add(jobOf(task, resolve, reject), task.signal)
    })
  }

  /** Keeps an answered chunk, and saves the state now and then, between two chunks. */
  #keep(chunk: Chunk): void {
    this.#history.add(chunk)
    if (this.#saving || !this.#history.isDue) return
    this.#saving = true
    this.#runner.addNext({
      frames: 0,
      alone: false,
      bytes: 0,
      failed: () => (this.#saving = false),
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
