import { breathe, keepsOrder } from '../../platform/platform.ts'
import { createMemory, type Kernels } from './kernels.ts'
import { dots } from './probes.ts'

/**
 * Which values of a weight `pack` puts where: the elements from `first` on of an array [blocks,
 * rows, width] into columns at..at+width−1.
 */
export interface Packing {
  readonly kind: 'matrix' | 'int8' | 'rows'
  readonly to: number
  readonly rows: number
  readonly columns: number
  readonly first: number
  readonly width: number
  readonly at: number
}

/**
 * Steps begin..end−1 of a program for the next frames of a stream: addresses in linear memory, and
 * frames since the reset.
 */
export interface Job {
  readonly table: number
  readonly begin: number
  readonly end: number
  readonly state: number
  readonly frame: number
  /** Frames of the stream's window, or until a weight halves. */
  readonly averageFrames: number
  /** Working memory, `scratchBytes` for each thread. */
  readonly scratch: number
  readonly scratchBytes: number
}

/**
 * Kernels with their linear memory, wherever they are. Calls take effect in the order in which they
 * are made, but what a job reads or writes must be left alone until it is done.
 */
export interface Machine {
  readonly threads: number
  /** First byte that is free for programs, weights and states. */
  readonly base: number
  /** Bytes of memory. */
  readonly size: number
  /** Rejects if the system gives no more. */
  grow(bytes: number): Promise<void>
  clear(at: number, bytes: number): void
  write(at: number, values: Uint8Array | Int8Array | Float32Array): void
  pack(values: Float32Array | Int8Array, packing: Packing): void
  /** Copies rows whose beginnings lie `stride` elements apart. */
  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array>
  /**
   * @param timeout seconds after which a worker that does not answer is given up
   * @throws TrecvitError if a worker failed; the machine is of no use then (`failure`)
   */
  run(job: Job, timeout?: number): Promise<void>
  /** Why the machine can be used no more, or null. */
  readonly failure: string | null
  dispose(): void
}

const PAGE = 65536
/** Bytes where the threads of a team meet (assembly/lib/team.ts). */
const TEAM = 1024
/** Values that `pack` takes through linear memory at a time. */
const STAGE = 1 << 18
/** Milliseconds of work after which a thread lets its event loop turn. */
const PAUSE = 8
/**
 * Bytes that every machine begins with: one page of the kernels' own, then the team's and the
 * stage.
 */
export const BASE: number = PAGE + TEAM + 4 * STAGE

/**
 * Kernels in this thread: all that there is where there are no workers, and what each worker of the
 * other machines holds.
 */
export class Here implements Machine {
  readonly threads: number = 1
  readonly base: number = BASE
  readonly #kernels: Kernels
  readonly #memory: WebAssembly.Memory
  #breathed = 0

  constructor(kernels: Kernels, memory: WebAssembly.Memory) {
    this.#kernels = kernels
    this.#memory = memory
  }

  static async open(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Here> {
    return new Here(await Here.kernels(module, memory), memory)
  }

  /** The kernels of a module on this memory. */
  static async kernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<Kernels> {
    const imports = { env: { memory, unrolls: +keepsOrder(), dots: +dots() } }
    const { exports } = await WebAssembly.instantiate(module, imports)
    return exports as unknown as Kernels
  }

  /** Memory with what every machine begins with. */
  static memory(shared: boolean): WebAssembly.Memory {
    return createMemory(Math.ceil(BASE / PAGE), shared)
  }

  /** Kernels in the caller's thread do not fail by themselves. */
  get failure(): string | null {
    return null
  }

  get size(): number {
    return this.#memory.buffer.byteLength
  }

  async grow(bytes: number): Promise<void> {
    this.#memory.grow(Math.ceil(bytes / PAGE))
  }

  clear(at: number, bytes: number): void {
    new Uint8Array(this.#memory.buffer, at, bytes).fill(0)
  }

  write(at: number, values: Uint8Array | Int8Array | Float32Array): void {
    if (values instanceof Float32Array) this.#floats(at, values.length).set(values)
    else new Uint8Array(this.#memory.buffer, at, values.length).set(values)
  }

  pack(
    values: Float32Array | Int8Array,
    { kind, to, rows, columns, first, width, at }: Packing,
  ): void {
    const stage = PAGE + TEAM
    for (let done = 0; done < values.length; done += STAGE) {
      const part = values.subarray(done, done + STAGE)
      this.write(stage, part)
      if (kind === 'matrix')
        this.#kernels.packPanels(to, stage, first + done, part.length, rows, width, columns, at)
      else if (kind === 'int8')
        this.#kernels.packWhole(to, stage, first + done, part.length, rows, width, columns, at)
      else this.#kernels.packRows(to, stage, first + done, part.length, width, columns, at)
    }
  }

  async read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array> {
    if (stride === columns) return this.#floats(at, rows * columns).slice()
    const values = new Float32Array(rows * columns)
    for (let row = 0; row < rows; row++)
      values.set(this.#floats(at + 4 * row * stride, columns), row * columns)
    return values
  }

  async run(job: Job, _timeout?: number): Promise<void> {
    // In the caller's own thread others get their turn, but not after each of many small frames:
    // pages make timers wait for milliseconds.
    if (performance.now() - this.#breathed > PAUSE) {
      await breathe()
      this.#breathed = performance.now()
    }
    this.work(0, 1, job)
  }

  /** The part of thread `index` of a team. */
  work(
    index: number,
    threads: number,
    { table, begin, end, state, frame, averageFrames, scratch, scratchBytes }: Job,
  ): void {
    this.#kernels.run(
      PAGE,
      index,
      threads,
      scratch + index * scratchBytes,
      table,
      begin,
      end,
      state,
      frame,
      averageFrames,
    )
  }

  dispose(): void {}

  #floats(at: number, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, count)
  }
}
