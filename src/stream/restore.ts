import { TrecvitError } from '../base/error.ts'
import type { Average, State } from '../program/program.ts'
import type { Session } from './session.ts'
import { decodeSnapshot } from './snapshot.ts'

/**
 * Opens a session with the state of a snapshot.
 * @throws TrecvitError if the snapshot is damaged, or was taken from another model
 */
export async function restore(
  bytes: Uint8Array,
  fingerprint: string,
  open: (b: number, average: Average) => Session,
): Promise<{ session: Session; average: Average }> {
  const { header, values } = decodeSnapshot(bytes)
  if (header.model !== fingerprint)
    throw new TrecvitError(
      `The snapshot was taken from model ${header.model}, and this one is ${fingerprint}; ` +
        'load that model',
    )
  const session = open(header.b, header.recent)
  const shapesOf = (states: readonly Pick<State, 'name' | 'shape'>[]): string =>
    JSON.stringify(states.map(({ name, shape }) => [name, shape]))
  if (shapesOf(header.states) !== shapesOf(session.states))
    throw new TrecvitError('The snapshot has other states than its model; take another one')
  await session.write(header.frame, await values())
  return { session, average: header.recent }
}
