/** Messages of the worker, and the queue of its work. */
import { TrecvitError } from 'trecvit'
import type { Reply, Request } from './messages.ts'

export const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Request>) => void
  postMessage(message: Reply, transfer?: Transferable[]): void
}

export const post = (reply: Reply, transfer: Transferable[] = []): void =>
  scope.postMessage(reply, transfer)

let last: Promise<unknown> = Promise.resolve()

/** Runs work after all work that was queued before. */
export function queue<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work)
  last = result.catch(() => {})
  return result
}

/** Runs work in the queue. An error is shown, and the result is then undefined. */
export const inTurn = <T>(work: () => Promise<T>): Promise<T | undefined> => postErrors(queue(work))

/** Awaits work. An error is shown, and the result is then undefined. */
export async function postErrors<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    postError(error)
    return undefined
  }
}

export function postError(error: unknown): void {
  if (error instanceof Error && error.name === 'AbortError')
    return post({ type: 'note', text: 'Loading was cancelled. The model stays as it was.' })
  if (!(error instanceof TrecvitError)) console.error(error)
  post({ type: 'error', text: sentenceOf(error) })
}

export const sentenceOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
