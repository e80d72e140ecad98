/**
 * Where the states of streams are kept, under their ids. A state has one owner at a time. The owner
 * has a token, which changes with the owner; each write gives its token, and a write with an old
 * token is refused. So a server that was paused and comes back changes nothing.
 */
import { quote } from '../../../base/quote.ts'
import { UnavailableError } from '../health.ts'

/** A request for a stream. */
export interface Claim {
  /** Name of the model in URLs. */
  readonly model: string
  /** Fingerprint of the model. */
  readonly fingerprint: string
  /** Id of the stream. */
  readonly id: string
  /** Secret of the client. With the same secret it needs not wait for the owner; may be empty. */
  readonly key: string
  /** Whether to start anew. With the secret of a started stream, the stream goes on instead. */
  readonly start: boolean
}

/** A stream with its owner. Every method throws TakenOverError if there is another owner. */
export interface Owned {
  /** Frames in the state. */
  readonly frame: number
  /** A snapshot; null for a new stream. */
  readonly state: Uint8Array | null
  /** Replaces the state by that after `frame` frames. */
  save(frame: number, state: Uint8Array): Promise<void>
  /** Lets others own the stream. */
  release(): Promise<void>
  /** Deletes the stream. */
  end(): Promise<void>
}

/** Outcome of a claim that fails. */
export type Refusal =
  /** Another owner has it, at most for so many milliseconds if that owner is lost. */
  | { readonly heldFor: number }
  /** The stream was not started, or its state was deleted. */
  | 'unknown'
  /** The stream belongs to a model with another fingerprint. */
  | { readonly fingerprint: string }

export interface StateStore {
  /** Whether other servers have the same store. */
  readonly isShared: boolean
  /** Whether it can be reached now. */
  readonly isUp: boolean
  open(claim: Claim): Promise<Owned | Refusal>
  close(): Promise<void>
}

/** Error: a write was refused because the stream has another owner, or was deleted. */
export class TakenOverError extends UnavailableError {
  constructor(id: string) {
    super(`Stream ${quote(id)} goes on at another connection, or was ended there`)
  }
}
