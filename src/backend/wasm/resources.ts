import type { Turns } from '../../base/turns.ts'
import type { Allocator } from './allocator.ts'
import type { Build } from './builds.ts'
import type { Machine } from './machine.ts'

/** A machine with the weights of a model in its memory, shared by replays and states. */
export interface Resources {
  readonly machine: Machine
  /** Build of the kernels of the machine. */
  readonly build: Build
  readonly allocator: Allocator
  /** Address of each weight by name. */
  readonly weights: ReadonlyMap<string, number>
  /** Streams that share a machine take turns. */
  readonly turns: Turns
}
