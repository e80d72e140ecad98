/**
 * A recorded model: a flat list of steps over tensors. Backends turn it into their own form and
 * replay it for every chunk of frames.
 */

import { TrecvitError } from '../base/error.ts'
import type * as operations from './ops/index.ts'
import type { Operation, StepWith } from './ops/operation.ts'
import type * as training from './ops/train/index.ts'
import type { AverageKind, State, Tensor, Weight } from './tensor.ts'

export type { Activation } from './ops/products.ts'
export * from './tensor.ts'

/** How a stream weighs the frames before the current one. */
export type Average =
  | 'all'
  | {
      /** Length of the window, 1..4096. */
      readonly frames: number
    }
  | {
      /** Frames until a weight halves, at most 1e5. */
      readonly halfLife: number
    }

type Operations = typeof operations & typeof training

/** Name of an operation: the stem of its kernels in assembly/ and gpu/, and of its test. */
export type Op = keyof Operations

/** A step of this operation (ops/). */
export type StepOf<O extends Op> = { readonly op: O } & StepWith<PartsOf<Operations[O]>>

type PartsOf<O> = O extends Operation<infer P, infer _> ? P : never

/** A step of any operation. */
export type Step = { [O in Op]: StepOf<O> }[Op]

/** What is left after a recording. */
export interface Program {
  /** Batch size. */
  readonly b: number
  /** Frames of each video in one chunk. */
  readonly t: number
  /** Tensors that the caller fills before each replay, by name: `pixels` [b, t, H, W, 3] … */
  readonly inputs: Readonly<Record<string, Tensor>>
  /** In order of execution. */
  readonly steps: readonly Step[]
  /** Tensors that the caller gets back, by name. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Carried numbers, in the order in which a snapshot stores them. */
  readonly states: readonly State[]
}

/** The kind of program that a stream with this average replays. */
export function kindOf(average: Average): AverageKind {
  if (average === 'all') return 'all'
  return 'frames' in average ? 'window' : 'halfLife'
}

/** Frames of a window, or until a weight halves; 0 for all frames. */
export function averageFrames(average: Average): number {
  if (average === 'all') return 0
  return 'frames' in average ? average.frames : average.halfLife
}

/** The states of a program as a stream with this average has them: rings have their size. */
export function statesFor(states: readonly State[], average: Average): State[] {
  return states.map((state) => {
    const { name, shape, ring } = state
    if (!ring) return state
    if (kindOf(average) !== 'window') {
      const got = JSON.stringify(average)
      throw new TrecvitError(`State "${name}" expected a window { frames }, got ${got}`)
    }
    return { name, shape: shape.map((side, axis) => (axis === 1 ? averageFrames(average) : side)) }
  })
}

/** The tensors that a step reads. */
export function inputsOf(step: Step): Tensor[] {
  return Object.values(step.inputs as Record<string, Tensor | undefined>).filter(
    (tensor) => tensor !== undefined,
  )
}

/** The tensors that a step writes. */
export function outputsOf(step: Step): Tensor[] {
  return Object.values(step.outputs as Record<string, Tensor>)
}

/** The weights that a step reads. */
export function weightsOf(step: Step): Weight[] {
  return Object.values(step.weights as Record<string, Weight | undefined>).filter(
    (weight) => weight !== undefined,
  )
}

/** The states that a step reads and writes. */
export function statesOf(step: Step): State[] {
  return Object.values(step.states as Record<string, State>)
}
