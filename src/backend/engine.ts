/**
 * One backend with the weights on it, and its prepared programs.
 *
 *   open ── GPU lost, thread failed ──▶ lost ── dispose ──▶ closed
 *     └────────────────── dispose ───────────────────────────▲
 *
 * Results of a lost or closed engine are never used.
 */
import { Lru } from '../base/lru.ts'
import type { Program } from '../program/program.ts'
import type { Backend, Device, Replay } from './backend.ts'

/** Kind of device. */
export type Kind = Device['backend']

/** A GPU device, and an object that must stay referenced as long as the device is used. */
export interface OwnedGpu {
  readonly device: GPUDevice
  readonly kept: unknown
}

/** A replay in the cache. */
interface Entry {
  readonly replay: Promise<Replay>
  /** Number of runs that use the replay, plus one while it is in the cache. At 0 it is freed. */
  users: number
}

/** Largest number of prepared programs in the cache. Each holds memory for its activations. */
const MOST_REPLAYS = 16

export class Engine {
  readonly backend: Backend
  readonly #gpu: OwnedGpu | undefined
  readonly #replays = new Lru<Program, Entry>(MOST_REPLAYS, (entry) => this.#release(entry))
  readonly #freeing = new Set<Promise<void>>()
  #lossReason: string | null = null

  /** @param gpu the device of the backend; destroyed with the engine */
  constructor(backend: Backend, gpu?: OwnedGpu) {
    this.backend = backend
    this.#gpu = gpu
  }

  get kind(): Kind {
    return this.backend.device.backend
  }

  /** Why the engine is lost (GPU lost, CPU thread failed, disposed of), or null. */
  get lossReason(): string | null {
    return this.#lossReason ?? this.backend.lossReason
  }

  /** Marks the engine as lost. Only the first reason is kept. */
  markLost(reason: string): void {
    this.#lossReason ??= reason
  }

  /** Number of prepared programs. */
  get replays(): number {
    return this.#replays.size
  }

  /**
   * Prepares a program, or finds it in the cache.
   * @returns `run` of its replay, to be called exactly once. The replay is not freed before.
   * @throws TrecvitError if its activations do not fit
   * @throws Error if the engine is lost: nothing would free the new replay
   */
  async prepare(program: Program): Promise<Replay['run']> {
    if (this.lossReason !== null) throw new Error(this.lossReason)
    const entry = this.#replays.get(program, () => ({
      replay: this.backend.prepare(program),
      users: 1,
    }))
    entry.users++
    try {
      const replay = await entry.replay
      return (...args) => replay.run(...args).finally(() => this.#release(entry))
    } catch (error) {
      // A program that did not fit may fit later.
      this.#release(entry)
      this.#replays.delete(program, entry)
      throw error
    }
  }

  /** Frees the backend and its device. Unfinished work rejects. */
  async dispose(): Promise<void> {
    this.markLost('it was disposed of')
    this.#replays.clear()
    await Promise.all(this.#freeing)
    this.backend.dispose()
    this.#gpu?.device.destroy()
  }

  #release(entry: Entry): void {
    if (--entry.users > 0) return
    const freed = entry.replay
      .then(
        (made) => made.dispose(),
        () => {},
      )
      .finally(() => this.#freeing.delete(freed))
    this.#freeing.add(freed)
  }
}
