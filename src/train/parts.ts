/** Parts of an update: clips that are computed together, and programs that add their gradients. */
import type { Program } from '../program/program.ts'
import type { Carried } from './carried.ts'
import type { Outputs, Run } from './device.ts'
import type { Variant } from './memory.ts'
import type { Use } from './update.ts'
import type { Training } from './weights.ts'

/** Clips that are computed together. */
export interface Part extends Pick<Run, 'key' | 'inputs'> {
  /** States of videos that the clips continue. */
  readonly before?: Carried
  /** Size of the clips. */
  readonly size: { readonly b: number; readonly t: number }
  /** Records the program, with the output `loss`, or that for another number of clips. */
  readonly record: (use: Use, variant?: Variant) => Program
  /** Called with the states after the clips, if the update succeeds. */
  readonly keep?: (after: Carried) => void
}

/**
 * Returns what to run for some parts: a program that updates the weights, or for each part one that
 * adds its gradients to those of the others.
 * @param rates inputs of an update
 */
export function runsOf(
  parts: readonly Part[],
  rates: Outputs,
  { recompute }: Required<Training>,
): Run[] {
  return parts.map(({ key, record, inputs, before, keep, size: { b, t } }, index) => {
    const use = parts.length === 1 ? 'update' : 'add'
    const adding = Float32Array.of(index && 1, 1)
    return {
      key: `${use} ${key}`,
      record: () => record(use),
      inputs: { ...inputs, ...(use === 'add' ? { adding } : rates) },
      ...(before && { before }),
      wantsStates: keep !== undefined,
      shrinkable: { now: { b, recompute }, t, record: (variant) => record(use, variant) },
    }
  })
}

/** Divides a list into parts of at most `most` elements. */
export function divide<T>(list: readonly T[], most: number = list.length): T[][] {
  const count = Math.ceil(list.length / most)
  return Array.from({ length: count }, (_, part) => list.slice(part * most, (part + 1) * most))
}

/** Returns the values of some of b videos, in the order of their indices. */
export function take<T extends Uint8Array | Float32Array>(
  values: T,
  b: number,
  videos: readonly number[],
): T {
  if (videos.length === b) return values
  const size = values.length / b
  const taken = values.slice(0, videos.length * size) as T
  videos.forEach((video, index) => {
    taken.set(values.subarray(video * size, (video + 1) * size), index * size)
  })
  return taken
}
