import { flopsOf } from '../../program/listing.ts'
import { plan } from '../../program/plan.ts'
import { columnsOf, type Program, rowsOf, type Tensor } from '../../program/program.ts'
import type { Inputs, Replay, StreamState, Watch } from '../backend.ts'
import type { Build } from './builds.ts'
import {
  type Addresses,
  encode,
  encodeQuantize,
  isInt8,
  quantizedBytes,
  STEP,
  scratchOf,
} from './encode.ts'
import type { Resources } from './resources.ts'
import { offsetsOf, type WasmState } from './state.ts'
import { CALL_TIMEOUT } from './thread.ts'

/**
 * Slowest accepted speed, in floating-point operations per second: about a thousandth of one core.
 * A run times out after its arithmetic at this speed plus CALL_TIMEOUT seconds.
 */
const SLOWEST = 50e6

/**
 * A program as a table of steps in linear memory, with one block of memory for its activations. The
 * kernels run the whole table in one call.
 */
export class WasmReplay implements Replay {
  readonly #program: Program
  readonly #resources: Resources
  readonly #table: number
  readonly #arena: number
  readonly #offsets: ReadonlyMap<unknown, number>
  readonly #scratch: { readonly scratch: number; readonly scratchBytes: number }
  /** Timeout of a run in seconds. */
  readonly #timeout: number
  /** Index of the first table entry of each step, then the number of entries. */
  readonly #begins: number[] = []

  private constructor(program: Program, resources: Resources, table: number, arena: number) {
    this.#program = program
    this.#resources = resources
    this.#table = table
    this.#arena = arena
    this.#timeout =
      CALL_TIMEOUT + program.steps.reduce((sum, step) => sum + flopsOf(step), 0) / SLOWEST
    const { machine, build, weights } = resources
    const { offsets, bytes } = plan(program)
    this.#offsets = offsets
    const int8 = int8Bytes(program, build)
    const quantized = { at: arena + bytes, factors: arena + bytes + int8.rows }
    this.#scratch = {
      scratch: quantized.factors + int8.factors,
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
      if (isInt8(step)) encodeQuantize(step, next(), addresses, quantized)
      encode(step, next(), addresses, build, quantized, machine.threads)
    }
    this.#begins.push(entry)
    machine.memory.write(table, steps)
  }

  /** @throws TrecvitError if the activations do not fit */
  static async create(resources: Resources, program: Program): Promise<WasmReplay> {
    const { machine, build, allocator } = resources
    const table = await allocator.take(entriesOf(program) * STEP, 'The steps of a program')
    const int8 = int8Bytes(program, build)
    const bytes =
      plan(program).bytes + int8.rows + int8.factors + machine.threads * scratchBytes(program)
    const arena = await allocator
      .take(bytes, 'The activations of a program')
      .catch((error: unknown) => {
        allocator.free(table)
        throw error
      })
    return new WasmReplay(program, resources, table, arena)
  }

  run(
    state: StreamState,
    frame: number,
    inputs: Inputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>> {
    const { steps, outputs, inputs: tensors } = this.#program
    const { machine, turns } = this.#resources
    const { at, averageFrames } = state as WasmState
    const range = { table: this.#table, state: at, frame, averageFrames, ...this.#scratch }
    // The lock: no other run may write the activations from the inputs to the outputs.
    return turns.take(async () => {
      for (const [name, { buffer }] of Object.entries(tensors))
        machine.memory.write(this.#arena + this.#offsets.get(buffer)!, inputs[name]!)
      if (!watch)
        await machine.run({ ...range, begin: 0, end: this.#begins[steps.length]! }, this.#timeout)
      else {
        for (const [index, step] of steps.entries()) {
          const start = performance.now()
          await machine.run(
            { ...range, begin: this.#begins[index]!, end: this.#begins[index + 1]! },
            this.#timeout,
          )
          await watch(step, performance.now() - start, (output) => this.#read(output))
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
    const { allocator } = this.#resources
    allocator.free(this.#arena)
    allocator.free(this.#table)
  }

  #read(tensor: Tensor): Promise<Float32Array> {
    return this.#resources.machine.memory.read(
      this.#arena + this.#offsets.get(tensor.buffer)! + 4 * tensor.offset,
      rowsOf(tensor),
      columnsOf(tensor),
      tensor.stride,
    )
  }
}

/** Number of table entries. */
const entriesOf = ({ steps }: Program): number => steps.length + steps.filter(isInt8).length

/** Bytes for the rows of integer products and for their factors. All products share them. */
function int8Bytes({ steps }: Program, build: Build): { rows: number; factors: number } {
  const all = steps.map((step) => quantizedBytes(step, build))
  return {
    rows: aligned(largest(all.map(({ rows }) => rows))),
    factors: aligned(largest(all.map(({ factors }) => factors))),
  }
}

/** Bytes of working memory per thread. Threads do not share a cache line. */
const scratchBytes = (program: Program): number => aligned(largest(program.steps.map(scratchOf)))

/**
 * The largest of some sizes. Not `Math.max(...sizes)`: a benchmark repeats a step 100,000 times,
 * and the stack of a worker is too small for as many arguments.
 */
const largest = (sizes: readonly number[]): number =>
  sizes.reduce((most, size) => Math.max(most, size), 0)

export const aligned = (count: number): number => Math.ceil(count / 64) * 64
