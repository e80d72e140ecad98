/** Sends replies to the page. */
import { scope } from '../demo/turns.ts'
import type { Reply } from './messages.ts'

const { postMessage } = scope as unknown as {
  postMessage(message: Reply, transfer?: Transferable[]): void
}

export const post = (reply: Reply, transfer: Transferable[] = []): void =>
  postMessage.call(scope, reply, transfer)
