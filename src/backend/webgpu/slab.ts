import { type State, sizeOf } from '../../program/program.ts'
import { allocate, largestBuffer } from './allocate.ts'
import type { Span, Submits } from './submits.ts'
import { COPY_DST, STORAGE } from './usage.ts'

/** Largest number of slots of a slab, and so of streams in a batch. */
export const MOST_STREAMS = 32

/** Words of a video in gpu/lib/videos.wgsl. */
const WORDS = 3

/** The place of a stream's states. */
export interface Slot {
  readonly slab: Slab
  readonly slot: number
  /** Frames of the window, or half-life in frames. */
  readonly averageFrames: number
}

/** A stream at a frame. */
export interface Position {
  readonly state: Slot
  /** Frames since the reset. */
  readonly frame: number
}

/** What slabs use of a backend. */
export interface SlabResources {
  readonly device: GPUDevice
  readonly submits: Submits
  /** Returns the layout of group 1 of a kernel with so many states. */
  readonly layout: (states: number) => GPUBindGroupLayout
}

/**
 * The states of streams whose states have equal shapes: for each state a buffer [slots, ..], with a
 * slot for each stream. Kernels change the states in place. A slab begins with one slot, and
 * doubles.
 */
export class Slab {
  readonly #resources: SlabResources
  readonly #states: readonly State[]
  readonly #bytes: readonly number[]
  #buffers: readonly GPUBuffer[]
  /** The videos of the last submit; undefined before the first. */
  #videos: GPUBuffer | undefined
  /** Group 1 of kernels by the indexes of their states, of these buffers. */
  readonly #groups = new Map<string, GPUBindGroup>()
  /** Whether each slot is taken. */
  readonly #taken = [false]
  /** Number of slots that were ever taken. Only these may have values that are not zero. */
  #used = 0

  private constructor(resources: SlabResources, states: readonly State[], buffers: GPUBuffer[]) {
    this.#resources = resources
    this.#states = states
    this.#bytes = states.map(({ shape }) => 4 * sizeOf(shape))
    this.#buffers = buffers
  }

  /** @throws TrecvitError if one slot does not fit */
  static async create(resources: SlabResources, states: readonly State[]): Promise<Slab> {
    return new Slab(resources, states, await allocateSlots(resources, states, 1))
  }

  /** Number of streams. Without any, the slab is freed. */
  get streams(): number {
    return this.#taken.filter((taken) => taken).length
  }

  /** Whether more slots are allowed. */
  get canGrow(): boolean {
    const { length } = this.#taken
    const bytes = 2 * length * Math.max(0, ...this.#bytes) + 16
    return length < MOST_STREAMS && bytes <= largestBuffer(this.#resources.device)
  }

  /** Takes a slot; its states have any values. Returns −1 if none is free. */
  take(): number {
    const slot = this.#taken.indexOf(false)
    if (slot >= 0) this.#taken[slot] = true
    return slot
  }

  /**
   * Doubles the number of slots, and takes one of the new ones.
   * @throws TrecvitError if they do not fit
   */
  async grow(): Promise<number> {
    const { length } = this.#taken
    // Taken before the first await: otherwise the slab could be freed meanwhile.
    this.#taken.push(true)
    const before = this.#buffers
    let next: readonly GPUBuffer[] = []
    try {
      next = await allocateSlots(this.#resources, this.#states, 2 * length)
      // Submits are in order: those before use the old buffers, those after the new ones.
      await this.#resources.submits.run([], (encoder) => {
        before.forEach((buffer, index) =>
          encoder.copyBufferToBuffer(buffer, 0, next[index]!, 0, length * this.#bytes[index]!),
        )
        this.#buffers = next
        this.#groups.clear()
      })
      this.#taken.push(...new Array<boolean>(length - 1).fill(false))
      return length
    } catch (error) {
      this.#taken.length = length
      if (!this.streams) this.#free()
      throw error
    } finally {
      for (const buffer of this.#buffers === next ? before : next) buffer.destroy()
    }
  }

  /** Sets the states of a slot to zero. */
  async clear(slot: number): Promise<void> {
    const isNew = slot >= this.#used
    this.#used = Math.max(this.#used, slot + 1)
    if (isNew) return
    await this.#resources.submits.run([], (encoder) => {
      this.#buffers.forEach((buffer, index) =>
        encoder.clearBuffer(buffer, slot * this.#bytes[index]!, this.#bytes[index]!),
      )
    })
  }

  /** Returns the states of a slot, to be read by a submit. */
  spans(slot: number): Span[] {
    const buffers = () => this.#buffers
    return this.#bytes.map((bytes, index) => ({
      // The slab may grow until the submit.
      get buffer() {
        return buffers()[index]!
      },
      offset: slot * bytes,
      bytes,
    }))
  }

  /** Writes the states of a slot. */
  write(slot: number, values: readonly Float32Array[]): void {
    this.#buffers.forEach((buffer, index) => {
      const value = values[index]! as Float32Array<ArrayBuffer>
      // Deno panics at an empty array. The past of a convolution with one tap is empty.
      if (value.length)
        this.#resources.device.queue.writeBuffer(buffer, slot * this.#bytes[index]!, value)
    })
  }

  /**
   * Sets the streams of the next submit, in the order of its batch.
   * @param videos number of videos of each stream
   */
  setBatch(streams: readonly Position[], videos: number): void {
    const words = new Uint32Array(WORDS * videos * streams.length)
    const floats = new Float32Array(words.buffer)
    for (let index = 0; index < videos * streams.length; index++) {
      const { state, frame } = streams[Math.floor(index / videos)]!
      words[WORDS * index] = state.slot * videos + (index % videos)
      words[WORDS * index + 1] = frame
      floats[WORDS * index + 2] = state.averageFrames
    }
    if (!this.#videos) {
      this.#videos = this.#resources.device.createBuffer({
        label: 'videos',
        size: 4 * WORDS * videos * MOST_STREAMS,
        usage: STORAGE | COPY_DST,
      })
    }
    this.#resources.device.queue.writeBuffer(this.#videos, 0, words)
  }

  /**
   * Returns group 1 of a kernel: the videos of the batch, then states.
   * @param states indexes of the states
   */
  group(states: readonly number[]): GPUBindGroup {
    const key = states.join()
    let found = this.#groups.get(key)
    if (!found) {
      const { device, layout } = this.#resources
      const buffers = [this.#videos!, ...states.map((index) => this.#buffers[index]!)]
      found = device.createBindGroup({
        layout: layout(states.length),
        entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
      })
      this.#groups.set(key, found)
    }
    return found
  }

  /** Frees a slot. */
  release(slot: number): void {
    this.#taken[slot] = false
    if (!this.streams) this.#free()
  }

  #free(): void {
    for (const buffer of this.#buffers) buffer.destroy()
    this.#videos?.destroy()
  }
}

function allocateSlots(
  { device }: SlabResources,
  states: readonly State[],
  slots: number,
): Promise<GPUBuffer[]> {
  return allocate(
    device,
    'The state of a stream',
    states.map(({ name, shape }) => ({ name, bytes: 4 * slots * sizeOf(shape) })),
    'a smaller batch',
  )
}
