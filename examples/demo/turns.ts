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
let waiting = 0
let wake = (): void => {}

/** Runs work after all work that was queued before. */
export function queue<T>(work: () => Promise<T>): Promise<T> {
  waiting++
  wake()
  const result = last.then(() => {
    waiting--
    return work()
  })
  last = result.catch(() => {})
  return result
}

/** Whether work is queued behind the current work. */
export const othersWait = (): boolean => waiting > 0

/** Waits, but only until work is queued behind the current work. */
export async function waitUnlessOthers(milliseconds: number): Promise<void> {
  if (othersWait()) return
  await new Promise<void>((resolve) => {
    wake = resolve
    setTimeout(resolve, milliseconds)
  })
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
