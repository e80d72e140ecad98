/** Memory of training, known from its programs before anything is allocated. */
import type { Device } from '../backend/backend.ts'
import { STEP, scratchOf, stateBytes, weightBytes } from '../backend/wasm/encode.ts'
import { TrecvitError } from '../base/error.ts'
import { plan, planSlots } from '../program/plan.ts'
import type { Program, Weight } from '../program/program.ts'

/** The part of a device that its memory depends on. */
type Target = Pick<Device, 'backend' | 'threads'>

/** Largest linear memory of WebAssembly: 4 GiB. */
export const CPU_BYTES: number = 2 ** 32

/** Returns the bytes of weights. */
export function bytesOfWeights(weights: readonly Weight[]): number {
  return weights.reduce((sum, weight) => sum + weightBytes(weight, 'simd'), 0)
}

/** Returns the bytes of a program on a device: its tensors, steps, states and working memory. */
export function bytesOfProgram(program: Program, { backend, threads }: Target): number {
  const { steps, states } = program
  const state = states.reduce((sum, each) => sum + stateBytes(each), 0)
  if (backend === 'webgpu')
    return planSlots(program).bytes.reduce((sum, bytes) => sum + bytes, state)
  const scratch = steps.reduce((most, step) => Math.max(most, scratchOf(step)), 0)
  return plan(program).bytes + steps.length * STEP + state + threads * scratch
}

/** @throws TrecvitError if the weights take more than `maxBytes` */
export function checkWeights(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes)
    throw new TrecvitError(
      `The weights with their moments take ${mega(bytes)}, more than ${mega(maxBytes)} ` +
        '("maxBytes"); train fewer parameters ("trains"), or a smaller model',
    )
}

/** A batch of a program, and whether its blocks are computed again for their gradients. */
export interface Variant {
  readonly b: number
  readonly recompute: 'none' | 'layer'
}

/** A program that may take too much memory, and others that do the same with less. */
export interface Shrinkable {
  readonly now: Variant
  /** Frames of a clip. */
  readonly t: number
  record(variant: Variant): Program
}

/**
 * Checks the memory of a program, and returns its bytes.
 * @param room bytes that it may take
 * @param total bytes that all may take, with those of the weights
 * @throws TrecvitError with what would fit
 */
export function checkMemory(
  program: Program,
  target: Target,
  room: number,
  total: number,
  shrinkable?: Shrinkable,
): number {
  const bytes = bytesOfProgram(program, target)
  if (bytes <= room) return bytes
  const what = shrinkable
    ? `A step with ${shrinkable.now.b} × ${shrinkable.t} frames at once`
    : 'A program for these clips'
  const other = shrinkable ? whatFits(shrinkable, target, room) : 'use fewer clips at once'
  throw new TrecvitError(
    `${what} takes ${mega(total - room + bytes)} with the weights, more than ${mega(total)} ` +
      `("maxBytes"); ${other}`,
  )
}

function whatFits({ now, t, record }: Shrinkable, target: Target, room: number): string {
  const found = (['none', 'layer'] as const)
    .filter((recompute) => recompute === 'layer' || now.recompute === 'none')
    .map((recompute) => {
      const fits = (b: number) => bytesOfProgram(record({ b, recompute }), target) <= room
      return { recompute, b: largest(now.b, fits) }
    })
    .filter(({ b }) => b > 0)
    .map(({ recompute, b }) =>
      [
        ...(recompute === now.recompute ? [] : [`recompute: '${recompute}'`]),
        ...(b === now.b ? [] : [`microBatch: ${b}`]),
      ].join(' with '),
    )
  return found.length > 0
    ? `what fits: ${found.join(', or ')}`
    : `not even one clip of ${t} frames fits: use shorter clips or a smaller model`
}

/** Returns the largest number from 1 to `most` that fits, or 0. Less always fits if more does. */
function largest(most: number, fits: (b: number) => boolean): number {
  let [good, bad] = [0, most + 1]
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (fits(middle)) good = middle
    else bad = middle
  }
  return good
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`
}
