import { pauses } from '../../platform/platform.ts'
import { flopsOf } from '../../program/listing.ts'
import { plan } from '../../program/plan.ts'
import {
  type Average,
  averageFrames,
  columnsOf,
  type Linear,
  type Program,
  rowsOf,
  type State,
  type Step,
  sizeOf,
  statesFor,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { Backend, Device, Inputs, Replay, StreamState, Watch } from '../backend.ts'
import type { Build } from './builds.ts'
import {
  type Addresses,
  encode,
  encodeQuantize,
  quantizedBytes,
  STEP,
  scratchOf,
  stateBytes,
  weightBytes,
} from './encode.ts'
import type { Machine } from './machine.ts'
import { LinearMemory } from './memory.ts'
import { openHere } from './open.ts'
import { CALL_TIMEOUT } from './thread.ts'

/**
 * A run has failed if it takes this many seconds more than its arithmetic would take at SLOWEST
 * floating-point operations a second, a thousandth of what one core does.
 */
const TIMEOUT = CALL_TIMEOUT
const SLOWEST = 50e6

/** The CPU: SIMD kernels in WebAssembly, on a machine beside the caller or in its own thread. */
export class WasmBackend implements Backend {
  readonly device: Device
  readonly #machine: Machine
  readonly #memory: LinearMemory
  readonly #weights: ReadonlyMap<string, number>
  readonly #build: Build
  readonly #turns = new Turns()

  private constructor(
    machine: Machine,
    memory: LinearMemory,
    weights: ReadonlyMap<string, number>,
    build: Build,
    reason: string | null,
  ) {
    this.device = { backend: 'wasm', kernels: build, threads: machine.threads, reason, gpu: null }
    this.#machine = machine
    this.#memory = memory
    this.#weights = weights
    this.#build = build
  }

  /**
   * Takes memory for the weights; they are zero until written.
   * @param machine what computes, the backend's own from now on; unless given, kernels in the
   * caller's thread
   * @param build the machine's
   * @param reason why the model does not run on something better, or null
   * @throws TrecvitError if the engine has no WebAssembly SIMD or the weights do not fit
   */
  static async create(
    weights: readonly Weight[],
    machine?: Machine,
    build: Build = 'simd',
    reason: string | null = null,
  ): Promise<WasmBackend> {
    machine ??= await openHere(build)
    try {
      const memory = new LinearMemory(machine)
      const bytesOf = (weight: Weight) => aligned(weightBytes(weight, build))
      let at = await memory.take(
        weights.reduce((sum, weight) => sum + bytesOf(weight), 0),
        'The weights',
      )
      const places = new Map(
        weights.map((weight) => [weight.name, (at += bytesOf(weight)) - bytesOf(weight)]),
      )
      return new WasmBackend(machine, memory, places, build, reason)
    } catch (error) {
      machine.dispose()
      throw error
    }
  }

  write(
    { name, kind, rows, columns }: Weight,
    values: Float32Array | Int8Array,
    first: number,
    width: number,
    at: number,
  ): void {
    this.#machine.pack(values, {
      kind,
      to: this.#weights.get(name)!,
      rows,
      columns,
      first,
      width,
      at,
    })
  }

  prepare(program: Program): Promise<Replay> {
    return WasmReplay.create(
      program,
      this.#machine,
      this.#memory,
      this.#weights,
      this.#turns,
      this.#build,
    )
  }

  async createState(states: readonly State[], average: Average = 'all'): Promise<StreamState> {
    const sized = statesFor(states, average)
    return WasmState.create(sized, averageFrames(average), this.#machine, this.#memory)
  }

  get failure(): string | null {
    return this.#machine.failure
  }

  /** Memory goes with the machine. */
  dispose(): void {
    this.#machine.dispose()
  }
}

/**
 * Work in the order in which it was asked for, one at a time: streams that share a machine come in
 * turn.
 */
class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}

class WasmState implements StreamState {
  readonly at: number
  readonly averageFrames: number
  readonly #states: readonly State[]
  readonly #machine: Machine
  readonly #memory: LinearMemory

  private constructor(
    at: number,
    states: readonly State[],
    averageFrames: number,
    machine: Machine,
    memory: LinearMemory,
  ) {
    this.at = at
    this.#states = states
    this.averageFrames = averageFrames
    this.#machine = machine
    this.#memory = memory
  }

  static async create(
    states: readonly State[],
    averageFrames: number,
    machine: Machine,
    memory: LinearMemory,
  ): Promise<WasmState> {
    const at = await memory.take(offsetsOf(states).bytes, 'The state of a stream')
    return new WasmState(at, states, averageFrames, machine, memory)
  }

  /** The state of Base has 58 MB: the event loop turns between its parts. */
  async read(): Promise<Float32Array[]> {
    const { offsets } = offsetsOf(this.#states)
    const values: Float32Array[] = []
    const pause = pauses()
    for (const [index, { shape }] of this.#states.entries()) {
      const size = sizeOf(shape)
      values.push(await this.#machine.read(this.at + offsets[index]!, 1, size, size))
      await pause()
    }
    return values
  }

  async write(values: readonly Float32Array[]): Promise<void> {
    offsetsOf(this.#states).offsets.forEach((offset, index) =>
      this.#machine.write(this.at + offset, values[index]!),
    )
  }

  async clear(): Promise<void> {
    this.#machine.clear(this.at, offsetsOf(this.#states).bytes)
  }

  dispose(): void {
    this.#memory.free(this.at)
  }
}

class WasmReplay implements Replay {
  readonly #program: Program
  readonly #machine: Machine
  readonly #memory: LinearMemory
  readonly #turns: Turns
  readonly #table: number
  readonly #arena: number
  readonly #offsets: ReadonlyMap<unknown, number>
  readonly #scratch: { readonly scratch: number; readonly scratchBytes: number }
  /** Seconds for a run: see TIMEOUT. */
  readonly #timeout: number
  /** Where the entries of each step begin in the table, and where those of the last end. */
  readonly #begins: number[] = []

  private constructor(
    program: Program,
    machine: Machine,
    memory: LinearMemory,
    turns: Turns,
    weights: ReadonlyMap<string, number>,
    build: Build,
    table: number,
    arena: number,
  ) {
    this.#program = program
    this.#machine = machine
    this.#memory = memory
    this.#turns = turns
    this.#table = table
    this.#arena = arena
    this.#timeout = TIMEOUT + program.steps.reduce((sum, step) => sum + flopsOf(step), 0) / SLOWEST
    const { offsets, bytes } = plan(program)
    this.#offsets = offsets
    const whole = wholeBytes(program, build)
    const quantized = { at: arena + bytes, factors: arena + bytes + whole.rows }
    this.#scratch = {
      scratch: quantized.factors + whole.factors,
      scratchBytes: scratchBytes(program),
    }
    const states = offsetsOf(program.states)
    const addresses: Addresses = {
      buffer: (buffer) => arena + offsets.get(buffer)!,
      weight: (weight) => weights.get(weight.name)!,
      state: (state) => states.offsets[program.states.indexOf(state)]!,
    }
    const steps = new Uint8Array(entriesOf(program) * STEP)
    let entry = 0
    const next = () => new DataView(steps.buffer, entry++ * STEP, STEP)
    for (const step of program.steps) {
      this.#begins.push(entry)
      if (isWhole(step)) encodeQuantize(step, next(), addresses, quantized)
      encode(step, next(), addresses, build, quantized, machine.threads)
    }
    this.#begins.push(entry)
    machine.write(table, steps)
  }

  static async create(
    program: Program,
    machine: Machine,
    memory: LinearMemory,
    weights: ReadonlyMap<string, number>,
    turns: Turns,
    build: Build,
  ): Promise<WasmReplay> {
    const table = await memory.take(entriesOf(program) * STEP, 'The steps of a program')
    const whole = wholeBytes(program, build)
    const bytes =
      plan(program).bytes + whole.rows + whole.factors + machine.threads * scratchBytes(program)
    const arena = await memory
      .take(bytes, 'The activations of a program')
      .catch((error: unknown) => {
        memory.free(table)
        throw error
      })
    return new WasmReplay(program, machine, memory, turns, weights, build, table, arena)
  }

  run(
    state: StreamState,
    frame: number,
    inputs: Inputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>> {
    const { steps, outputs, inputs: tensors } = this.#program
    const { at, averageFrames } = state as WasmState
    const job = { table: this.#table, state: at, frame, averageFrames, ...this.#scratch }
    // From the inputs to the outputs the activations belong to this run.
    return this.#turns.take(async () => {
      for (const [name, { buffer }] of Object.entries(tensors))
        this.#machine.write(this.#arena + this.#offsets.get(buffer)!, inputs[name]!)
      if (!watch)
        await this.#machine.run(
          { ...job, begin: 0, end: this.#begins[steps.length]! },
          this.#timeout,
        )
      else {
        for (const [index, step] of steps.entries()) {
          const start = performance.now()
          await this.#machine.run(
            { ...job, begin: this.#begins[index]!, end: this.#begins[index + 1]! },
            this.#timeout,
          )
          await watch(step, performance.now() - start, () => this.#read(step.output))
        }
      }
      return Object.fromEntries(
        await Promise.all(
          Object.entries(outputs).map(
            async ([name, tensor]) => [name, await this.#read(tensor)] as const,
          ),
        ),
      )
    })
  }

  dispose(): void {
    this.#memory.free(this.#arena)
    this.#memory.free(this.#table)
  }

  #read(tensor: Tensor): Promise<Float32Array> {
    return this.#machine.read(
      this.#arena + this.#offsets.get(tensor.buffer)! + 4 * tensor.offset,
      rowsOf(tensor),
      columnsOf(tensor),
      tensor.stride,
    )
  }
}

/** A product of whole numbers, before which its rows must become some. */
const isWhole = (step: Step): step is Linear =>
  step.op === 'linear' && step.weights.scales !== undefined

/** Entries of the table. */
const entriesOf = ({ steps }: Program): number => steps.length + steps.filter(isWhole).length

/** Bytes that products of whole numbers share for their rows, and for the factors of those. */
function wholeBytes({ steps }: Program, build: Build): { rows: number; factors: number } {
  const all = steps.map((step) => quantizedBytes(step, build))
  return {
    rows: aligned(largest(all.map(({ rows }) => rows))),
    factors: aligned(largest(all.map(({ factors }) => factors))),
  }
}

/** Working memory of a thread; not in the cache line of another's. */
const scratchBytes = (program: Program): number => aligned(largest(program.steps.map(scratchOf)))

/**
 * Not `Math.max(...sizes)`, whose arguments a worker's stack has no room for where a bench repeats
 * a step 100,000 times.
 */
const largest = (sizes: readonly number[]): number =>
  sizes.reduce((most, size) => Math.max(most, size), 0)

const aligned = (count: number): number => Math.ceil(count / 64) * 64

/** Where each state lies in the memory of a stream. */
function offsetsOf(states: readonly State[]): { offsets: number[]; bytes: number } {
  let bytes = 0
  const offsets = states.map((state) => (bytes += stateBytes(state)) - stateBytes(state))
  return { offsets, bytes }
}
