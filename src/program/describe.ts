import * as operations from './ops/index.ts'
import type { Operation, Parts, StepWith } from './ops/operation.ts'
import type { Op, Step } from './program.ts'
import type { State, Tensor, Weight } from './tensor.ts'

/** The description of an operation, for steps of any. */
export type Description = Operation<AnyParts, unknown[]>

/** A step of which only its description knows what it reads. */
export type AnyStep = StepWith<AnyParts>

interface AnyParts extends Parts {
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly outputs: Readonly<Record<string, Tensor>>
  readonly weights: Readonly<Record<string, Weight>>
  readonly states: Readonly<Record<string, State>>
  readonly params: Readonly<Record<string, unknown>>
}

const descriptions = { ...operations } as unknown as Readonly<Record<Op, Description>>

/** The names of all operations. Places in this list are their codes in the WebAssembly table. */
export const OPS: readonly Op[] = (Object.keys(descriptions) as Op[]).sort()

/** The description of the operation of a step. */
export function descriptionOf({ op }: Pick<Step, 'op'>): Description {
  return descriptions[op]
}
