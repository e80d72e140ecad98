/** What the streams of a GPU share. It is imported on demand. */
import type { Average, State } from '../../program/program.ts'
import type { Backend, PictureReader, PixelsSize } from '../backend.ts'
import { Batcher } from './batcher.ts'
import { type BatchReplay, StreamBatches } from './batches.ts'
import { waitOf } from './chooseWait.ts'
import type { SlabResources } from './slab.ts'
import { Slabs } from './slabs.ts'
import { WebGpuState } from './state.ts'
import { Submits } from './submits.ts'
import type { Wait } from './wait.ts'

/** The slots of the streams of a backend, the batches that they run in, and their pictures. */
export class Streams {
  readonly batcher: Batcher = new Batcher()
  readonly submits: Submits
  readonly #slabs: Slabs
  readonly #device: GPUDevice
  #reader: PictureReader | Promise<PictureReader> | undefined

  private constructor(resources: Omit<SlabResources, 'submits'>, wait: Wait) {
    this.#device = resources.device
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

  /** Returns the reader of pictures, or a promise while it opens. After a failure it opens anew. */
  pictureReader(owner: Backend, size: PixelsSize): PictureReader | Promise<PictureReader> {
    if (this.#reader) return this.#reader
    const opening = import('./gpuPictures.ts').then(({ GpuPictures }) =>
      GpuPictures.open(owner, { device: this.#device, submits: this.submits }, size),
    )
    opening.then(
      (reader) => (this.#reader = reader),
      () => (this.#reader = undefined),
    )
    return (this.#reader = opening)
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
