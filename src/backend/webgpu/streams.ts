/** What the streams of a GPU share. It is imported on demand. */
import type { Average, State } from '../../program/program.ts'
import { Batcher } from './batcher.ts'
import { type BatchReplay, StreamBatches } from './batches.ts'
import type { SlabResources } from './slab.ts'
import { Slabs } from './slabs.ts'
import { WebGpuState } from './state.ts'

/** The slots of the streams of a backend, and the batches that they run in. */
export class Streams {
  readonly batcher: Batcher = new Batcher()
  readonly #resources: SlabResources
  readonly #slabs: Slabs

  constructor(resources: SlabResources) {
    this.#resources = resources
    this.#slabs = new Slabs(resources)
  }

  /**
   * Allocates the states of one stream, all zero.
   * @throws TrecvitError if they do not fit
   */
  createState(states: readonly State[], average: Average): Promise<WebGpuState> {
    const { submits } = this.#resources
    return WebGpuState.create(
      { batcher: this.batcher, slabs: this.#slabs, submits },
      states,
      average,
    )
  }

  /**
   * Returns the batches of a program.
   * @param alone its replay for one stream
   * @param make makes its replay for so many streams
   */
  batchesOf(alone: BatchReplay, make: (streams: number) => Promise<BatchReplay>): StreamBatches {
    return new StreamBatches(alone, make)
  }
}
