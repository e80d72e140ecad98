import { messageOf, TrecvitError } from '../../../base/error.ts'
import { UnavailableError } from '../health.ts'
import type { Reason } from './pace.ts'
import { TakenOverError } from './store.ts'

/** Milliseconds in which the same failure is reported once. */
const REPORT_AGAIN = 60_000

/** Counts of the saved states of a server, since its start. */
export class Counts {
  readonly saves: Record<Reason, number> = { cost: 0, bound: 0, request: 0, shutdown: 0 }
  bytes = 0
  seconds = 0
  /** Writes that were refused because the stream had gone on elsewhere. */
  refusedWrites = 0
  failedWrites = 0
  readonly #onError: (error: unknown) => void
  #reported = { message: '', at: -Infinity }

  /** @param onError called with failures */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  saved(reason: Reason, bytes: number, seconds: number): void {
    this.saves[reason]++
    this.bytes += bytes
    this.seconds += seconds
  }

  /** Counts a write that failed. Reports it, unless it was refused or reported just before. */
  failed(error: unknown): void {
    if (error instanceof TakenOverError) {
      this.refusedWrites++
      return
    }
    this.failedWrites++
    const message = messageOf(error)
    const now = performance.now()
    if (message === this.#reported.message && now - this.#reported.at < REPORT_AGAIN) return
    this.#reported = { message, at: now }
    const isKnown = error instanceof UnavailableError
    this.#onError(
      isKnown ? new TrecvitError(`No state is saved: ${message}`, { cause: error }) : error,
    )
  }
}
