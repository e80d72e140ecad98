import type { Shared } from './follow.ts'
import type { Health } from './health.ts'

/** A model with its shared data. */
export interface Served {
  /** Name in URLs. */
  readonly name: string
  readonly shared: Shared
  readonly health: Health
}
