import type { NdArray } from '../array.ts'
import type { StreamState, Watch } from '../backend/backend.ts'
import type { Engine, EngineSource, Kind } from '../backend/engine.ts'
import { TrecvitError } from '../error.ts'
import { statesFor, type Average, type Program, type State } from '../program/program.ts'
import { History } from './history.ts'

/** What one chunk gives: the program's outputs, row-major, by name. */
export type Outputs = Record<string, Float32Array>

/** The programs of a session: one for each number of frames and kind of pixels. */
export type ProgramFor = (t: number, pixels: 'u8' | 'f32') => Program

/** Jobs under way at once: on a GPU a chunk is encoded while the one before it is computed. */
const DEPTH: Record<Kind, number> = { wasm: 1, webgpu: 2 }
/** Losses without a result in between after which only the CPU is tried. */
const PATIENCE = 3

/** Puts work on the device at once; the promise tells when it is done. */
type Issue<T> = (state: StreamState, frame: number) => Promise<T>

/** One thing to do, in its turn. */
interface Job<T> {
  /** Frames that it takes the stream on. */
  readonly frames: number
  /** Nothing may be under way beside it. */
  readonly alone: boolean
  /** Gets what issuing needs of the engine, so that it need not wait. */
  prepare(engine: Engine): Promise<Issue<T>>
  done(result: T): void
  failed(error: unknown): void
}

/** Where a session lives. */
interface Home {
  readonly engine: Engine
  readonly state: StreamState
}

/**
 * b videos with their carried state. Everything happens in the order in which it was asked for. When a device is lost, all that it has not
 * answered is computed again on another, from the last state that was saved: each result comes once, in order, and none of a lost device.
 */
export class Session {
  /** Videos side by side. */
  readonly b: number
  /** Frames since the reset that have been answered. */
  frame = 0
  readonly #engines: EngineSource
  readonly #programFor: ProgramFor
  readonly #average: Average
  readonly #waiting: Job<never>[] = []
  readonly #underWay: { readonly job: Job<never>; readonly result: Promise<never> }[] = []
  readonly #history = new History()
  #home: Home | undefined
  #next: Engine | undefined
  /** Frames since the reset that have been issued. */
  #issued = 0
  #losses = 0
  #running = false

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

  /** What it computes on, or will. */
  get engine(): Engine {
    return this.#home?.engine ?? this.#next ?? this.#engines.current
  }

  /** Runs the next t frames, pixels [b, t, H, W, 3], which may be changed afterwards; `first` is the index of the first of them. */
  advance(pixels: Uint8Array | Float32Array, t: number, watch?: Watch): Promise<{ first: number; outputs: Outputs }> {
    const chunk = { pixels: pixels.slice(), t }
    const program = this.#programFor(t, pixels instanceof Uint8Array ? 'u8' : 'f32')
    return new Promise((resolve, reject) => this.#add<Outputs>({
      frames: t,
      alone: watch !== undefined,
      prepare: async (engine) => {
        const replay = await engine.replay(program)
        return (state, frame) => replay.run(state, frame, chunk.pixels, watch)
      },
      done: (outputs) => {
        const first = this.frame
        this.frame += t
        if (this.#home!.engine.kind === 'webgpu') this.#keep(chunk)
        resolve({ first, outputs })
      },
      failed: reject,
    }))
  }

  /** Runs the next t frames as `advance` does, and gives every named tensor. */
  async trace(pixels: Uint8Array | Float32Array, t: number): Promise<Map<string, NdArray<Float32Array>>> {
    const tensors = new Map<string, NdArray<Float32Array>>()
    await this.advance(pixels, t, async (step, _, read) => void tensors.set(step.name, { data: await read(), shape: step.output.shape }))
    return tensors
  }

  /** Forgets all frames. */
  reset(): Promise<void> {
    return this.#alone(async () => (state) => state.clear(), () => this.#arrive(0, null))
  }

  /** Copies of the states and the number of frames that led to them. */
  read(): Promise<{ frame: number; values: Float32Array[] }> {
    return this.#alone(async () => (state) => state.read(), (values) => {
      this.#save(values)
      return { frame: this.frame, values }
    })
  }

  /** Replaces the states. */
  write(frame: number, values: readonly Float32Array[]): Promise<void> {
    return this.#alone(async () => (state) => state.write(values), () => this.#arrive(frame, values))
  }

  /** Goes on on another engine, with the state. */
  move(kind: Kind): Promise<void> {
    const states = this.states
    return this.#alone(async () => {
      const engine = await this.#engines.get(kind)
      return async (state) => {
        const values = await state.read()
        const moved = await engine.backend.createState(states, this.#average)
        await moved.write(values)
        return { engine, values, moved }
      }
    }, ({ engine, values, moved }) => {
      this.#home!.state.dispose()
      this.#home = { engine, state: moved }
      this.#save(values)
    })
  }

  /** Frees the state, after all that was asked for before. */
  async dispose(): Promise<void> {
    if (!this.#home && !this.#running) return
    await this.#alone(async () => async (state) => state.dispose(), () => (this.#home = undefined))
  }

  #alone<T, R>(prepare: () => Promise<Issue<T>>, done: (result: T) => R): Promise<R> {
    return new Promise((resolve, reject) => this.#add<T>({ frames: 0, alone: true, prepare, done: (result) => resolve(done(result)), failed: reject }))
  }

  #arrive(frame: number, values: readonly Float32Array[] | null): void {
    this.frame = frame
    this.#issued = frame
    this.#save(values)
  }

  /** What the CPU computes is never lost, so a stream on it holds no second copy of its state. */
  #save(values: readonly Float32Array[] | null, milliseconds?: number): void {
    this.#history.save(this.frame, this.#home!.engine.kind === 'webgpu' ? values : null, milliseconds)
  }

  #keep(chunk: { pixels: Uint8Array | Float32Array; t: number }): void {
    this.#history.add(chunk)
    if (!this.#history.isDue || this.#waiting.some((job) => job === this.#saving) || this.#underWay.some(({ job }) => job === this.#saving)) return
    this.#waiting.unshift(this.#saving)
  }

  /** Saves the state in passing, between two chunks. */
  readonly #saving: Job<never> = {
    frames: 0,
    alone: false,
    prepare: async () => async (state: StreamState) => {
      const start = performance.now()
      const values = await state.read()
      return { values, milliseconds: performance.now() - start } as never
    },
    done: ({ values, milliseconds }: { values: Float32Array[]; milliseconds: number }) => this.#save(values, milliseconds),
    failed: () => {},
  }

  #add<T>(job: Job<T>): void {
    this.#waiting.push(job as unknown as Job<never>)
    if (!this.#running) void this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length || this.#underWay.length) {
      try {
        const home = await this.#settle()
        await this.#issue(home)
        await this.#finish(home)
      } catch (error) {
        await this.#lose(error)
      }
    }
    this.#running = false
  }

  /** The home, or a new one with the state of the frames answered so far. */
  async #settle(): Promise<Home> {
    if (this.#home) return this.#home
    const engine = (this.#next ??= this.#engines.current)
    const state = await engine.backend.createState(this.states, this.#average)
    const { saved, chunks } = this.#history
    if (saved.values) await state.write(saved.values)
    let frame = saved.frame
    for (const { pixels, t } of chunks) {
      const replay = await engine.replay(this.#programFor(t, pixels instanceof Uint8Array ? 'u8' : 'f32'))
      await replay.run(state, frame, pixels)
      frame += t
    }
    if (engine.lost) throw new Error(engine.lost)
    this.#issued = this.frame
    this.#home = { engine, state }
    if (engine.kind === 'wasm') this.#save(null)
    return this.#home
  }

  /** Puts as many jobs on the device as may be under way. */
  async #issue({ engine, state }: Home): Promise<void> {
    while (this.#waiting.length && this.#underWay.length < DEPTH[engine.kind]) {
      const job = this.#waiting[0]!
      if (this.#underWay.length && (job.alone || this.#underWay[0]!.job.alone)) return
      let issue: Issue<never>
      try {
        issue = await job.prepare(engine)
      } catch (error) {
        if (engine.lost || !(error instanceof TrecvitError)) throw error
        this.#waiting.shift()
        job.failed(error)
        continue
      }
      this.#waiting.shift()
      const result = issue(state, this.#issued)
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
    if (engine.lost) throw new Error(engine.lost)
    this.#underWay.shift()
    this.#losses = 0
    oldest.job.done(result)
  }

  /** On the CPU an error is the job's own. On a GPU the device is given up: all that is not answered is asked for again elsewhere. */
  async #lose(error: unknown): Promise<void> {
    const { engine } = this
    if (engine.kind === 'wasm' || (error instanceof TrecvitError && !engine.lost)) {
      const failed = this.#underWay.shift()?.job ?? this.#waiting.shift()
      this.#issued = this.frame
      failed?.failed(error)
      return
    }
    this.#waiting.unshift(...this.#underWay.splice(0).map(({ job }) => job))
    this.#home = undefined
    this.#losses++
    const why = error instanceof Error ? error.message : String(error)
    try {
      this.#next = this.#losses > PATIENCE ? await this.#engines.get('wasm') : await this.#engines.replace(engine, why)
    } catch (hopeless) {
      for (const job of this.#waiting.splice(0)) job.failed(hopeless)
    }
  }
}
