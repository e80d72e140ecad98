import type { Inputs } from '../backend.ts'
import type { Batches, StreamChunk } from './batcher.ts'
import { MOST_STREAMS, type Position } from './slab.ts'

/** Longest duration of a batch in milliseconds. Drivers stop work that takes seconds. */
const LONGEST = 500

/** A replay for a number of streams. */
export interface BatchReplay {
  /** Submits a chunk of each stream, synchronously. Inputs and outputs are those of the batch. */
  submit(streams: readonly Position[], inputs: Inputs): Promise<Record<string, Float32Array>>
  dispose(): void
}

/**
 * The replays of a program for 1, 2, 4, .. streams. They are made when there are so many streams.
 * Until then a smaller batch runs, so no frame waits for them.
 */
export class StreamBatches implements Batches {
  readonly #make: (streams: number) => Promise<BatchReplay>
  readonly #ready = new Map<number, BatchReplay>()
  readonly #making = new Set<number>()
  /** Largest number of streams whose replay fits into memory, as far as is known. */
  #most = MOST_STREAMS
  /** Shortest duration so far, in milliseconds per stream. */
  #shortest = Infinity
  #isDisposed = false

  /**
   * @param alone replay of one stream; not disposed of
   * @param make makes the replay of so many streams
   */
  constructor(alone: BatchReplay, make: (streams: number) => Promise<BatchReplay>) {
    this.#ready.set(1, alone)
    this.#make = make
  }

  sizeFor(count: number): number {
    const most = Math.max(1, Math.min(count, this.#most, LONGEST / this.#shortest))
    let size = 2 ** Math.floor(Math.log2(most))
    if (!this.#ready.has(size) && !this.#making.has(size)) void this.#prepare(size)
    while (!this.#ready.has(size)) size /= 2
    return size
  }

  async run(chunks: readonly StreamChunk[]): Promise<Record<string, Float32Array>[]> {
    const began = performance.now()
    const streams = chunks.length
    const inputs = streams > 1 ? joined(chunks) : chunks[0]!.inputs
    const outputs = await this.#ready.get(streams)!.submit(chunks, inputs)
    this.#shortest = Math.min(this.#shortest, (performance.now() - began) / streams)
    return streams > 1 ? chunks.map((_, stream) => partOf(outputs, stream, streams)) : [outputs]
  }

  /** Frees the replays of several streams. */
  dispose(): void {
    this.#isDisposed = true
    for (const [streams, replay] of this.#ready) if (streams > 1) replay.dispose()
  }

  async #prepare(streams: number): Promise<void> {
    this.#making.add(streams)
    try {
      const replay = await this.#make(streams)
      if (this.#isDisposed) replay.dispose()
      else this.#ready.set(streams, replay)
    } catch {
      // It does not fit, or the device is lost. Smaller batches go on.
      this.#most = Math.min(this.#most, streams / 2)
    }
  }
}

/** Returns the inputs of a batch, as bytes. */
function joined(chunks: readonly StreamChunk[]): Inputs {
  return Object.fromEntries(
    Object.keys(chunks[0]!.inputs).map((name) => {
      const parts = chunks.map(({ inputs }) => inputs[name]!)
      const bytes = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
      let at = 0
      for (const { buffer, byteOffset, byteLength } of parts) {
        bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at)
        at += byteLength
      }
      return [name, bytes]
    }),
  )
}

/** Copies the outputs of one of some streams. */
function partOf(
  outputs: Record<string, Float32Array>,
  stream: number,
  streams: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { length }]) => {
      const size = length / streams
      return [name, outputs[name]!.slice(stream * size, (stream + 1) * size)]
    }),
  )
}
