import bytes from '../../../build/trecvit.wasm'
import { TrecvitError } from '../../error.ts'
import { plan } from '../../program/plan.ts'
import { columnsOf, rowsOf, sizeOf, type Program, type State, type Tensor, type Weight } from '../../program/program.ts'
import type { Backend, Device, Replay, StreamState, Watch } from '../backend.ts'
import { encode, scratchOf, stateBytes, STEP, weightBytes } from './encode.ts'
import { LinearMemory } from './memory.ts'

interface Kernels {
  run(table: number, begin: number, end: number, state: number, frame: number): void
  packPanels(to: number, from: number, first: number, count: number, rows: number, width: number, columns: number, at: number): void
  packRows(to: number, from: number, first: number, count: number, width: number, columns: number, at: number): void
  readonly heapBase: WebAssembly.Global
}

/** Values that `write` takes through linear memory at a time. */
const STAGE = 1 << 18

let compiled: Promise<WebAssembly.Module> | undefined

/** The CPU: SIMD kernels in WebAssembly, in the caller's own thread. */
export class WasmBackend implements Backend {
  readonly device: Device
  readonly #kernels: Kernels
  readonly #memory: LinearMemory
  readonly #weights: ReadonlyMap<string, number>
  readonly #stage: number

  private constructor(kernels: Kernels, memory: WebAssembly.Memory, weights: readonly Weight[], reason: string | null) {
    this.device = { backend: 'wasm', kernels: 'simd', threads: 1, reason, gpu: null }
    this.#kernels = kernels
    this.#memory = new LinearMemory(memory, kernels.heapBase.value as number)
    this.#stage = this.#memory.take(4 * STAGE, 'Staging')
    let at = this.#memory.take(weights.reduce((sum, weight) => sum + aligned(weightBytes(weight)), 0), 'The weights')
    this.#weights = new Map(weights.map((weight) => [weight.name, (at += aligned(weightBytes(weight))) - aligned(weightBytes(weight))]))
  }

  /**
   * Takes memory for the weights; they are zero until written.
   * @param reason why the model does not run on something better, or null
   * @throws TrecvitError if the engine has no WebAssembly SIMD or the weights do not fit
   */
  static async create(weights: readonly Weight[], reason: string | null = null): Promise<WasmBackend> {
    compiled ??= WebAssembly.compile(bytes as BufferSource)
    let module: WebAssembly.Module
    try {
      module = await compiled
    } catch (cause) {
      throw new TrecvitError('This JavaScript engine cannot compile WebAssembly with SIMD, which every engine since 2023 can; use a newer one', { cause })
    }
    const memory = new WebAssembly.Memory({ initial: 1 })
    const instance = await WebAssembly.instantiate(module, { env: { memory } })
    return new WasmBackend(instance.exports as unknown as Kernels, memory, weights, reason)
  }

  write(weight: Weight, values: Float32Array, first: number, width: number, at: number): void {
    const to = this.#weights.get(weight.name)!
    for (let done = 0; done < values.length; done += STAGE) {
      const part = values.subarray(done, done + STAGE)
      this.#memory.floats(this.#stage, part.length).set(part)
      if (weight.kind === 'matrix') this.#kernels.packPanels(to, this.#stage, first + done, part.length, weight.rows, width, weight.columns, at)
      else this.#kernels.packRows(to, this.#stage, first + done, part.length, width, weight.columns, at)
    }
  }

  prepare(program: Program): Promise<Replay> {
    return Promise.resolve(new WasmReplay(program, this.#kernels, this.#memory, this.#weights))
  }

  createState(states: readonly State[]): Promise<StreamState> {
    return Promise.resolve(new WasmState(states, this.#memory))
  }

  /** Nothing to free by hand: memory goes with the instance. */
  dispose(): void {}
}

class WasmState implements StreamState {
  readonly at: number
  readonly #states: readonly State[]
  readonly #memory: LinearMemory

  constructor(states: readonly State[], memory: LinearMemory) {
    this.#states = states
    this.#memory = memory
    this.at = memory.take(offsetsOf(states).bytes, 'The state of a stream')
  }

  read(): Promise<Float32Array[]> {
    return Promise.resolve(this.#views().map((view) => view.slice()))
  }

  write(values: readonly Float32Array[]): Promise<void> {
    this.#views().forEach((view, index) => view.set(values[index]!))
    return Promise.resolve()
  }

  clear(): Promise<void> {
    for (const view of this.#views()) view.fill(0)
    return Promise.resolve()
  }

  dispose(): void {
    this.#memory.free(this.at)
  }

  #views(): Float32Array[] {
    const { offsets } = offsetsOf(this.#states)
    return this.#states.map((state, index) => this.#memory.floats(this.at + offsets[index]!, sizeOf(state.shape)))
  }
}

class WasmReplay implements Replay {
  readonly #program: Program
  readonly #kernels: Kernels
  readonly #memory: LinearMemory
  readonly #table: number
  readonly #arena: number
  readonly #offsets: ReadonlyMap<unknown, number>

  constructor(program: Program, kernels: Kernels, memory: LinearMemory, weights: ReadonlyMap<string, number>) {
    this.#program = program
    this.#kernels = kernels
    this.#memory = memory
    const { offsets, bytes: arena } = plan(program)
    this.#offsets = offsets
    const scratch = Math.max(...program.steps.map(scratchOf))
    this.#table = memory.take(program.steps.length * STEP, 'The steps of a program')
    this.#arena = memory.take(arena + scratch, 'The activations of a program')
    const states = offsetsOf(program.states)
    program.steps.forEach((step, index) => encode(step, new DataView(memory.memory.buffer, this.#table + index * STEP, STEP), {
      buffer: (buffer) => this.#arena + offsets.get(buffer)!,
      weight: (weight) => weights.get(weight.name)!,
      state: (state) => states.offsets[program.states.indexOf(state)]!,
      scratch: this.#arena + arena,
    }))
  }

  async run(state: StreamState, frame: number, pixels: Uint8Array | Float32Array, watch?: Watch): Promise<Record<string, Float32Array>> {
    const { steps, outputs, pixels: input } = this.#program
    const at = this.#arena + this.#offsets.get(input.buffer)!
    if (pixels instanceof Uint8Array) this.#memory.bytes(at, pixels.length).set(pixels)
    else this.#memory.floats(at, pixels.length).set(pixels)

    const stream = (state as WasmState).at
    if (!watch) this.#kernels.run(this.#table, 0, steps.length, stream, frame)
    else {
      for (const [index, step] of steps.entries()) {
        const start = performance.now()
        this.#kernels.run(this.#table, index, index + 1, stream, frame)
        await watch(step, performance.now() - start, () => Promise.resolve(this.#read(step.output)))
      }
    }
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, this.#read(tensor)]))
  }

  dispose(): void {
    this.#memory.free(this.#arena)
    this.#memory.free(this.#table)
  }

  #read(tensor: Tensor): Float32Array {
    const columns = columnsOf(tensor)
    const values = new Float32Array(sizeOf(tensor.shape))
    const at = this.#arena + this.#offsets.get(tensor.buffer)! + 4 * tensor.offset
    for (let row = 0; row < rowsOf(tensor); row++) values.set(this.#memory.floats(at + 4 * row * tensor.stride, columns), row * columns)
    return values
  }
}

const aligned = (count: number): number => Math.ceil(count / 64) * 64

/** Where each state lies in the memory of a stream. */
function offsetsOf(states: readonly State[]): { offsets: number[]; bytes: number } {
  let bytes = 0
  const offsets = states.map((state) => (bytes += stateBytes(state)) - stateBytes(state))
  return { offsets, bytes }
}
