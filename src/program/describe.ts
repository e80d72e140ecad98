import * as operations from './ops/index.ts'
import type { Operation, Parts, StepWith } from './ops/operation.ts'
import { quantize } from './ops/quantize.ts'
import type { Op } from './program.ts'
import type { State, Tensor, Weight } from './tensor.ts'

/** The description of any operation. */
export type Description = Operation<AnyParts, unknown[]>

/** A step of any operation. Its tensors are found by name, as its description lists them. */
export type AnyStep = StepWith<AnyParts>

interface AnyParts extends Parts {
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly outputs: Readonly<Record<string, Tensor>>
  readonly weights: Readonly<Record<string, Weight>>
  readonly states: Readonly<Record<string, State>>
  readonly params: Readonly<Record<string, unknown>>
}

const descriptions = { ...operations, quantize } as unknown as Record<KernelOp, Description>

/** Names of the operations of inference, sorted. */
export const OPS: readonly Op[] = (Object.keys(operations) as Op[]).sort()

/** Operations that a GPU computes in place of several steps (ops/fused.ts). */
export type FusedOp = 'recurrence' | 'normLinear' | 'normQuantize'

/** An operation, or one that backends add: no program names it. */
export type KernelOp = Op | 'quantize' | FusedOp

/** Names by code in the WebAssembly table. */
const codes: KernelOp[] = [...OPS, 'quantize']

/** Returns the code of an operation in the WebAssembly table. */
export function codeOf(op: KernelOp): number {
  return codes.indexOf(op)
}

/** Adds descriptions of operations that no program names. */
export function addDescriptions(added: object): void {
  Object.assign(descriptions, added)
}

/**
 * Adds operations that inference does not load (src/train). Call it once: their codes follow those
 * of inference.
 * @returns their names, sorted
 */
export function addOperations(added: object): readonly Op[] {
  addDescriptions(added)
  const names = (Object.keys(added) as Op[]).sort()
  codes.push(...names)
  return names
}

/** Returns the description of the operation of a step. */
export function descriptionOf({ op }: { readonly op: KernelOp }): Description {
  return descriptions[op]
}

/**
 * Returns the arguments of a method of the recorder by name: required inputs and weights, then
 * parameters, then an object with the optional ones.
 */
export function argumentsByName(
  { inputs, weights = {}, params = [] }: Description,
  args: readonly unknown[],
): Record<string, unknown> {
  const axes = { ...inputs, ...weights } as Readonly<Record<string, string>>
  const required = Object.keys(axes).filter((role) => !axes[role]!.endsWith('?'))
  const order = [...required, ...params]
  const given: Record<string, unknown> = { ...(args[order.length] as object) }
  order.forEach((role, index) => (given[role] = args[index]))
  return given
}
