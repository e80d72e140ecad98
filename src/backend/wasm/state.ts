import { pauses } from '../../platform/platform.ts'
import {
  type Average,
  averageFrames,
  type State,
  sizeOf,
  statesFor,
} from '../../program/program.ts'
import type { StreamState } from '../backend.ts'
import type { Allocator } from './allocator.ts'
import { stateBytes } from './encode.ts'
import type { Memory } from './memory.ts'
import type { Resources } from './resources.ts'

/** The states of one stream, one block of linear memory. */
export class WasmState implements StreamState {
  readonly at: number
  /** Frames of the window, or half-life in frames. */
  readonly averageFrames: number
  readonly #states: readonly State[]
  readonly #memory: Memory
  readonly #allocator: Allocator

  private constructor(
    at: number,
    states: readonly State[],
    averageFrames: number,
    { machine, allocator }: Resources,
  ) {
    this.at = at
    this.averageFrames = averageFrames
    this.#states = states
    this.#memory = machine.memory
    this.#allocator = allocator
  }

  /** @throws TrecvitError if the states do not fit */
  static async create(
    resources: Resources,
    states: readonly State[],
    average: Average,
  ): Promise<WasmState> {
    const sized = statesFor(states, average)
    const at = await resources.allocator.take(offsetsOf(sized).bytes, 'The state of a stream')
    return new WasmState(at, sized, averageFrames(average), resources)
  }

  /**
   * Copies the states. The states of Base have 58 MB, so the event loop gets a turn between parts.
   */
  async read(): Promise<Float32Array[]> {
    const { offsets } = offsetsOf(this.#states)
    const values: Float32Array[] = []
    const pause = pauses()
    for (const [index, { shape }] of this.#states.entries()) {
      const size = sizeOf(shape)
      values.push(await this.#memory.read(this.at + offsets[index]!, 1, size, size))
      await pause()
    }
    return values
  }

  async write(values: readonly Float32Array[]): Promise<void> {
    offsetsOf(this.#states).offsets.forEach((offset, index) =>
      this.#memory.write(this.at + offset, values[index]!),
    )
  }

  async clear(): Promise<void> {
    this.#memory.clear(this.at, offsetsOf(this.#states).bytes)
  }

  dispose(): void {
    this.#allocator.free(this.at)
  }
}

/** Returns the offset of each state in the block of a stream. */
export function offsetsOf(states: readonly State[]): { offsets: number[]; bytes: number } {
  let bytes = 0
  const offsets = states.map((state) => (bytes += stateBytes(state)) - stateBytes(state))
  return { offsets, bytes }
}
