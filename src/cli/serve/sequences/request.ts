/**
 * Requests that continue a stream with an id. The state is read before the frames and written after
 * them. A stream of many frames is faster over a WebSocket.
 */
import { TrecvitError } from '../../../base/error.ts'
import { quote } from '../../../base/quote.ts'
import { sessionsOf } from '../../../model/sessions.ts'
import type { TRecViT } from '../../../model/trecvit.ts'
import type { Session } from '../../../stream/session.ts'
import { decodeSnapshot, encodeSnapshot } from '../../../stream/snapshot.ts'
import type { StateDType } from '../../../stream/snapshotHeader.ts'
import type { Asked, Sequences } from './sequences.ts'

/** The stream of a request. */
export interface SequenceRequest extends Asked {
  /** Whether to delete the state after the frames. */
  readonly end: boolean
}

/**
 * Runs work with the state of a stream. No other request or connection owns the stream meanwhile.
 * @param work runs the frames of the request in a session of one video
 * @returns the result, and the number of frames of the stream
 * @throws TrecvitError if the stream is unknown, open elsewhere, or has another average than "all"
 * @throws UnavailableError if another request took the stream over, or the state cannot be saved
 */
export async function withSequence<T>(
  sequences: Sequences,
  { model, name }: { readonly model: TRecViT; readonly name: string },
  request: SequenceRequest,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
): Promise<{ result: T; frame: number }> {
  const owned = await sequences.claim(model, name, request, signal)
  const session = sessionsOf(model).open({ b: 1, recent: 'all', encoded: false })
  let isOver = false
  try {
    if (owned.state) await load(session, owned.state, request.id)
    const result = await work(session)
    const { frame } = session
    if (request.end) await sequences.inTime(owned.end())
    else await sequences.save(owned, frame, await snapshotOf(session, model, sequences.dtype))
    isOver = request.end
    return { result, frame }
  } finally {
    if (!isOver) sequences.release(owned)
    await session.dispose()
  }
}

async function load(session: Session, state: Uint8Array, id: string): Promise<void> {
  const { header, values } = decodeSnapshot(state)
  if (header.recent !== 'all')
    throw new TrecvitError(
      `Stream ${quote(id)} was started over a WebSocket with another average than "all"; ` +
        'go on there',
    )
  await session.write(header.frame, await values())
}

/** Returns the state of a session as a snapshot. */
async function snapshotOf(
  session: Session,
  { fingerprint: model }: TRecViT,
  dtype: StateDType,
): Promise<Uint8Array> {
  const { frame, values } = await session.read()
  const header = { model, b: 1, frame, recent: 'all', states: session.states } as const
  return encodeSnapshot({ header, values }, { dtype })
}
