/** What the streams of a GPU share. It is imported on demand. */
import type { Average, State } from '../../program/program.ts'
import { Batcher } from './batcher.ts'
import { type BatchReplay, StreamBatches } from './batches.ts'
import { waitOf } from './chooseWait.ts'
import type { SlabResources } from './slab.ts'
import { Slabs } from './slabs.ts'
import { WebGpuState } from './state.ts'
import { Submits } from './submits.ts'
import type { Wait } from './wait.ts'

/** The slots of the streams of a backend, and the batches that they run in. */
export class Streams {
  readonly batcher: Batcher = new Batcher()
  readonly submits: Submits
  readonly #slabs: Slabs

  private constructor(resources: Omit<SlabResources, 'submits'>, wait: Wait) {
    this.submits = new Submits(resources.device, wait)
    this.#slabs = new Slabs({ ...resources, submits: this.submits })
  }

  /** Chooses how to wait for results of the device. */
  static async open(resources: Omit<SlabResources, 'submits'>): Promise<Streams> {
    return new Streams(resources, await waitOf(resources.device))
  }

  /**
   * Allocates the states of one stream, all zero.
   * @throws TrecvitError if they do not fit
   */
  createState(states: readonly State[], average: Average): Promise<WebGpuState> {
    const { batcher, submits } = this
    return WebGpuState.create({ batcher, slabs: this.#slabs, submits }, states, average)
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
