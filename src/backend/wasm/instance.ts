import { BARRIER_AT, type Choices, type Kernels, pagesOf, STAGE, STAGE_AT } from './kernels.ts'
import type { Memory, Packing } from './memory.ts'

/**
 * Steps begin..end−1 of a program for the next frames of a stream: addresses in linear memory, and
 * the number of frames since the reset.
 */
export interface StepRange {
  readonly table: number
  readonly begin: number
  readonly end: number
  readonly state: number
  readonly frame: number
  /** Frames of the stream's window, or half-life in frames. */
  readonly averageFrames: number
  /** Working memory, `scratchBytes` for each thread. */
  readonly scratch: number
  readonly scratchBytes: number
}

/** The kernels on a linear memory, in this thread. */
export class Instance implements Memory {
  readonly #kernels: Kernels
  readonly #memory: WebAssembly.Memory

  private constructor(kernels: Kernels, memory: WebAssembly.Memory) {
    this.#kernels = kernels
    this.#memory = memory
  }

  static async open(
    module: WebAssembly.Module,
    choices: Choices,
    memory: WebAssembly.Memory,
  ): Promise<Instance> {
    const { exports } = await WebAssembly.instantiate(module, { env: { memory, ...choices } })
    return new Instance(exports as unknown as Kernels, memory)
  }

  get size(): number {
    return this.#memory.buffer.byteLength
  }

  async grow(bytes: number): Promise<number> {
    this.#memory.grow(pagesOf(bytes))
    return this.size
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
    for (let done = 0; done < values.length; done += STAGE) {
      const part = values.subarray(done, done + STAGE)
      this.write(STAGE_AT, part)
      if (kind === 'matrix')
        this.#kernels.packPanels(to, STAGE_AT, first + done, part.length, rows, width, columns, at)
      else if (kind === 'int8')
        this.#kernels.packInt8(to, STAGE_AT, first + done, part.length, rows, width, columns, at)
      else this.#kernels.packRows(to, STAGE_AT, first + done, part.length, width, columns, at)
    }
  }

  async read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array> {
    if (stride === columns) return this.#floats(at, rows * columns).slice()
    const values = new Float32Array(rows * columns)
    for (let row = 0; row < rows; row++)
      values.set(this.#floats(at + 4 * row * stride, columns), row * columns)
    return values
  }

  /** Runs the share of thread `index` of every step. */
  run(
    index: number,
    threads: number,
    { table, begin, end, state, frame, averageFrames, scratch, scratchBytes }: StepRange,
  ): void {
    this.#kernels.run(
      BARRIER_AT,
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

  #floats(at: number, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, count)
  }
}
