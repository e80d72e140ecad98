/**
 * A worker of the thread pool that runs tasks. Errors are sent as messages, because instances of a
 * class cannot be sent between threads.
 */
import { move, transferableSymbol, valueSymbol } from 'piscina'
import { TrecvitError } from '../../base/error.ts'

export { decode } from './decode.ts'

import { type FrameTask, type ParseTask, tasks } from './tasks.ts'

/** Outcome of a task: a result, why the input is not valid, or an unhandled error. */
export type Outcome<T> =
  | { readonly result: T }
  | { readonly refused: string }
  | { readonly error: unknown }

export const toModel = (task: FrameTask): Promise<unknown> =>
  outcome(tasks.toModel(task), ({ data }) => data)

export const parse = (task: ParseTask): Promise<unknown> =>
  outcome(tasks.parse(task), ({ frames }) => frames.data)

/** @param array the part of the result that is transferred instead of copied */
async function outcome<T>(
  work: Promise<T>,
  array: (result: T) => Uint8Array | Float32Array,
): Promise<unknown> {
  try {
    const result = await work
    return move({ [transferableSymbol]: array(result).buffer, [valueSymbol]: { result } })
  } catch (error) {
    const isKnown = error instanceof TrecvitError
    return (isKnown ? { refused: error.message } : { error }) satisfies Outcome<T>
  }
}
