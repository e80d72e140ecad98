import { type Average, averageFrames, type State, statesFor } from '../../program/program.ts'
import type { StreamState } from '../backend.ts'
import type { Batcher } from './batcher.ts'
import type { Slab, Slot } from './slab.ts'
import type { Slabs } from './slabs.ts'
import type { Submits } from './submits.ts'

/** What the states of a backend share. */
interface Shared {
  readonly batcher: Batcher
  readonly slabs: Slabs
  readonly submits: Submits
}

/** The states of one stream: a slot of a slab. */
export class WebGpuState implements StreamState, Slot {
  readonly slab: Slab
  readonly slot: number
  readonly averageFrames: number
  readonly #resources: Shared

  private constructor(resources: Shared, slab: Slab, slot: number, averageFrames: number) {
    this.#resources = resources
    this.slab = slab
    this.slot = slot
    this.averageFrames = averageFrames
  }

  /** @throws TrecvitError if the states do not fit */
  static async create(
    resources: Shared,
    states: readonly State[],
    average: Average,
  ): Promise<WebGpuState> {
    const [slab, slot] = await resources.slabs.take(statesFor(states, average))
    const state = new WebGpuState(resources, slab, slot, averageFrames(average))
    try {
      // A stream that has ended may have left its states in the slot.
      await slab.clear(slot)
      return state
    } catch (error) {
      state.dispose()
      throw error
    }
  }

  async read(): Promise<Float32Array[]> {
    const { batcher, submits } = this.#resources
    const values = await batcher.after(this, () =>
      submits.run(this.slab.spans(this.slot), () => {}),
    )
    return values.map((bytes) => new Float32Array(bytes))
  }

  async write(values: readonly Float32Array[]): Promise<void> {
    const { batcher, submits } = this.#resources
    await batcher.after(this, () => submits.run([], () => this.slab.write(this.slot, values)))
  }

  async clear(): Promise<void> {
    await this.#resources.batcher.after(this, () => this.slab.clear(this.slot))
  }

  /** Frees the slot. Frames that wait are rejected. */
  dispose(): void {
    this.#resources.batcher.drop(this)
    this.slab.release(this.slot)
  }
}
