/**
 * A recorded model: a list of steps over tensors, without branches. A backend converts it into its
 * own form and replays it for each chunk of frames.
 */

import { TrecvitError } from '../base/error.ts'
import type * as operations from './ops/index.ts'
import type { Operation, StepWith } from './ops/operation.ts'
import type * as training from './ops/train/index.ts'
import type { AverageKind, State, Tensor, Weight } from './tensor.ts'

export type { Activation } from './ops/products.ts'
export * from './tensor.ts'

/** The average of a stream over its frames. */
export type Average =
  | 'all'
  | {
      /** Length of the window, 1..4096. */
      readonly frames: number
    }
  | {
      /** Number of frames after which a weight is halved, at most 1e5. */
      readonly halfLife: number
    }

type Operations = typeof operations & typeof training

/** Name of an operation. Its kernels in assembly/ and gpu/ and its test have the same file name. */
export type Op = keyof Operations

/** A step of one operation. */
export type StepOf<O extends Op> = { readonly op: O } & StepWith<PartsOf<Operations[O]>>

type PartsOf<O> = O extends Operation<infer P, infer _> ? P : never

/** A step of any operation. */
export type Step = { [O in Op]: StepOf<O> }[Op]

/** The result of a recording. */
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
  /** States, in the order in which a snapshot stores them. */
  readonly states: readonly State[]
  /**
   * Records the program for a batch of so many streams. Its steps compute each stream as this
   * program does, bit by bit. Undefined if it is not for batches of streams.
   */
  readonly forStreams?: (streams: number) => Program
}

/** Returns the kind of program that a stream with this average replays. */
export function kindOf(average: Average): AverageKind {
  if (average === 'all') return 'all'
  return 'frames' in average ? 'window' : 'halfLife'
}

/** Returns the frames of a window or of a half-life; 0 for all frames. */
export function averageFrames(average: Average): number {
  if (average === 'all') return 0
  return 'frames' in average ? average.frames : average.halfLife
}

/** Returns the states of a program with the shapes of a stream: the average sets the ring size. */
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

/** Returns the tensors that a step reads. */
export function inputsOf(step: Step): Tensor[] {
  return Object.values(step.inputs as Record<string, Tensor | undefined>).filter(
    (tensor) => tensor !== undefined,
  )
}

/** Returns the tensors that a step writes. */
export function outputsOf(step: Step): Tensor[] {
  return Object.values(step.outputs as Record<string, Tensor>)
}

/** Returns the weights that a step reads. */
export function weightsOf(step: Step): Weight[] {
  return Object.values(step.weights as Record<string, Weight | undefined>).filter(
    (weight) => weight !== undefined,
  )
}

/** Returns the states that a step reads and writes. */
export function statesOf(step: Step): State[] {
  return Object.values(step.states as Record<string, State>)
}
