import { Turns } from '../../base/turns.ts'
import type { Average, Program, State, Weight } from '../../program/program.ts'
import type { Backend, Device, Replay, StreamState } from '../backend.ts'
import { Allocator } from './allocator.ts'
import type { Build } from './builds.ts'
import { weightBytes } from './encode.ts'
import { BASE } from './kernels.ts'
import type { Machine } from './machine.ts'
import { openHere } from './open.ts'
import { aligned, WasmReplay } from './replay.ts'
import type { Resources } from './resources.ts'
import { WasmState } from './state.ts'

/** The CPU: SIMD kernels in WebAssembly, on a pool of threads or on the caller's thread. */
export class WasmBackend implements Backend {
  readonly device: Device
  readonly #resources: Resources

  private constructor(resources: Resources, reason: string | null) {
    const { machine, build } = resources
    this.device = { backend: 'wasm', kernels: build, threads: machine.threads, reason, gpu: null }
    this.#resources = resources
  }

  /**
   * Allocates memory for the weights, which are zero until written.
   * @param machine runs the kernels, and is owned by the backend from now on; by default the
   * caller's thread
   * @param build build of the machine
   * @param reason why no faster device is used, or null
   * @throws TrecvitError if the runtime does not support WebAssembly SIMD or the weights do not fit
   */
  static async create(
    weights: readonly Weight[],
    machine?: Machine,
    build: Build = 'simd',
    reason: string | null = null,
  ): Promise<WasmBackend> {
    machine ??= await openHere(build)
    try {
      const allocator = new Allocator(machine.memory, BASE)
      const bytesOf = (weight: Weight) => aligned(weightBytes(weight, build))
      let at = await allocator.take(
        weights.reduce((sum, weight) => sum + bytesOf(weight), 0),
        'The weights',
      )
      const places = new Map(
        weights.map((weight) => [weight.name, (at += bytesOf(weight)) - bytesOf(weight)]),
      )
      return new WasmBackend(
        { machine, build, allocator, weights: places, turns: new Turns() },
        reason,
      )
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
    const { machine, weights } = this.#resources
    machine.memory.pack(values, {
      kind,
      to: weights.get(name)!,
      rows,
      columns,
      first,
      width,
      at,
    })
  }

  prepare(program: Program): Promise<Replay> {
    return WasmReplay.create(this.#resources, program)
  }

  createState(states: readonly State[], average: Average = 'all'): Promise<StreamState> {
    return WasmState.create(this.#resources, states, average)
  }

  get lossReason(): string | null {
    return this.#resources.machine.lossReason
  }

  /** Ends the machine, which frees its memory. */
  dispose(): void {
    this.#resources.machine.dispose()
  }
}
