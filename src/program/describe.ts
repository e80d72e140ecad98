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

const descriptions = { ...operations } as unknown as Record<Op, Description>

/** Names of the operations of inference, in order. */
export const OPS: readonly Op[] = (Object.keys(descriptions) as Op[]).sort()

/** Names by code in the WebAssembly table. No program names `quantize`. */
const codes: (Op | 'quantize')[] = [...OPS, 'quantize']

/** The code of an operation in the WebAssembly table. */
export function codeOf(op: Op | 'quantize'): number {
  return codes.indexOf(op)
}

/**
 * Adds operations that inference does not load (src/train). Call it once: their codes follow those
 * of inference.
 * @returns their names, in order
 */
export function addOperations(added: object): readonly Op[] {
  Object.assign(descriptions, added)
  const names = (Object.keys(added) as Op[]).sort()
  codes.push(...names)
  return names
}

/** The description of the operation of a step. */
export function descriptionOf({ op }: Pick<Step, 'op'>): Description {
  return descriptions[op]
}
