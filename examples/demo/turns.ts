/** Messages of the worker, and the queue of its work. */
import { TrecvitError } from 'trecvit'
import type { Reply, Request } from './messages.ts'

export const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Request>) => void
  postMessage(message: Reply, transfer?: Transferable[]): void
}

export const say = (reply: Reply, transfer: Transferable[] = []): void =>
  scope.postMessage(reply, transfer)

let last: Promise<unknown> = Promise.resolve()

/** Runs work after all work that was queued before. */
export function queue<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work)
  last = result.catch(() => {})
  return result
}

/** Runs work in the queue. An error is shown, and the result is then undefined. */
export const inTurn = <T>(work: () => Promise<T>): Promise<T | undefined> => told(queue(work))

/** Awaits work. An error is shown, and the result is then undefined. */
export async function told<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    tellError(error)
    return undefined
  }
}

export function tellError(error: unknown): void {
  if (error instanceof Error && error.name === 'AbortError')
    return say({ type: 'note', text: 'Loading was cancelled. The model stays as it was.' })
  if (!(error instanceof TrecvitError)) console.error(error)
  say({ type: 'error', text: sentenceOf(error) })
}

export const sentenceOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
