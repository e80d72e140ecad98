/** Clips with their classes, and the batches of an epoch. */
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { sizeOf } from '../program/program.ts'
import { type Augmentation, randomFor, vary } from './augment.ts'
import { divide } from './parts.ts'
import { Random } from './random.ts'

/** A clip [t, H, W, 3] of bytes, or its features [t, d]. */
export type Clip = NdArray<Uint8Array> | NdArray<Float32Array>

/** A clip and its class. */
export interface Sample {
  /** The clip, or a function that reads it each time it is needed. */
  readonly clip: Clip | (() => Clip | Promise<Clip>)
  /** Class, from 0. */
  readonly label: number
}

/** Samples of the same shape, as one array. */
export interface Gathered {
  /** [b, t, ..] */
  readonly clips: Clip
  readonly labels: readonly number[]
}

/** Order and variation of the samples of an epoch. */
interface Variation {
  readonly random: Random
  readonly vary: (clip: Clip, index: number) => Clip
}

/**
 * Yields the batches of one epoch: for each batch, its clips of every shape.
 * @param size clips in a batch
 * @param variation by default, the clips as they are in the given order
 */
export async function* batches(
  samples: readonly Sample[],
  size: number,
  variation?: Variation,
): AsyncGenerator<Gathered[], void, undefined> {
  const order = [...(variation?.random.permutation(samples.length) ?? samples.keys())]
  for (const indices of divide(order, size)) {
    const byShape = new Map<string, { clips: Clip[]; labels: number[] }>()
    for (const index of indices) {
      const { clip: given, label } = samples[index]!
      const read = typeof given === 'function' ? await given() : given
      const clip = variation?.vary(read, index) ?? read
      const key = `${clip.data.constructor.name} ${clip.shape}`
      const same = byShape.get(key) ?? { clips: [], labels: [] }
      byShape.set(key, same)
      same.clips.push(clip)
      same.labels.push(label)
    }
    yield Array.from(byShape.values(), gather)
  }
}

/** Which batches of a run are used. */
export interface EpochOptions {
  readonly epochs: number
  readonly batch: number
  /** Seed of the order of the samples. */
  readonly seed: number
  /** Number of batches to skip. */
  readonly skip: number
  readonly signal: AbortSignal | undefined
  /** How the clips are varied, in each epoch in another way. */
  readonly augment: Augmentation | undefined
}

/** Yields the batches of all epochs, each in another order, with the number of the epoch. */
export async function* epochsOf(
  samples: readonly Sample[],
  { epochs, batch, seed, skip, signal, augment }: EpochOptions,
): AsyncGenerator<{ readonly batch: Gathered[]; readonly epoch: number }, void, undefined> {
  const random = new Random(seed)
  let count = 0
  // Whole epochs are skipped without reading.
  const length = Math.ceil(samples.length / batch)
  for (let epoch = 1; epoch <= epochs; epoch++) {
    if (count + length <= skip) {
      count += length
      random.permutation(samples.length)
      continue
    }
    const varied = (clip: Clip, index: number) =>
      augment ? vary(asFrames(clip), augment, randomFor(seed, epoch, index)) : clip
    for await (const gathered of batches(samples, batch, { random, vary: varied })) {
      signal?.throwIfAborted()
      if (++count > skip) yield { batch: gathered, epoch }
    }
  }
}

function asFrames({ data, shape }: Clip): NdArray<Uint8Array> {
  if (data instanceof Uint8Array) return { data, shape }
  throw new TrecvitError('"augment" expected clips of frames, got features')
}

function gather({
  clips,
  labels,
}: {
  readonly clips: readonly Clip[]
  readonly labels: readonly number[]
}): Gathered {
  const { shape, data } = clips[0]!
  const size = sizeOf(shape)
  const all =
    data instanceof Uint8Array
      ? new Uint8Array(clips.length * size)
      : new Float32Array(clips.length * size)
  for (const [index, clip] of clips.entries()) {
    if (clip.data.length !== size)
      throw new TrecvitError(
        `A clip of shape [${shape}] expected ${size} values, got ${clip.data.length}`,
      )
    all.set(clip.data, index * size)
  }
  return { clips: { data: all, shape: [clips.length, ...shape] } as Clip, labels }
}
