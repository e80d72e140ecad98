/**
 * One backend with the weights on it, and the programs that it has prepared.
 *
 *   open ── device lost, thread died ──▶ lost ── dispose ──▶ closed
 *     └───────────────── dispose ─────────────────────────────▲
 *
 * Nothing that comes from an engine that is lost or closed is used.
 */
import { Lru } from '../base/lru.ts'
import type { Program } from '../program/program.ts'
import type { Backend, Device, Replay } from './backend.ts'

/** What computes. */
export type Kind = Device['backend']

/** A GPU device, and what must live as long as it does. */
export interface OwnedGpu {
  readonly device: GPUDevice
  readonly kept: unknown
}

/** A replay. */
interface Entry {
  readonly replay: Promise<Replay>
  /** Runs that need it, and one more while it is kept. Without any it is freed. */
  users: number
}

/** Programs that an engine keeps prepared: each holds memory for its activations. */
const MOST_REPLAYS = 16

export class Engine {
  readonly backend: Backend
  readonly #gpu: OwnedGpu | undefined
  readonly #replays = new Lru<Program, Entry>(MOST_REPLAYS, (entry) => this.#release(entry))
  readonly #freeing = new Set<Promise<void>>()
  #lost: string | null = null

  /** @param gpu what the backend runs on; it is destroyed with the engine */
  constructor(backend: Backend, gpu?: OwnedGpu) {
    this.backend = backend
    this.#gpu = gpu
  }

  get kind(): Kind {
    return this.backend.device.backend
  }

  /** Why the engine can be used no more, or null. */
  get lost(): string | null {
    return this.#lost ?? this.backend.failure
  }

  /** Takes the engine out of use. */
  lose(why: string): void {
    this.#lost ??= why
  }

  /** Programs that are prepared. */
  get replays(): number {
    return this.#replays.size
  }

  /**
   * Prepares a program, or finds it prepared.
   * @returns `run` of its replay, to be called once, and at once: until then it stays prepared
   * @throws TrecvitError if its activations do not fit
   * @throws Error if the engine is lost: nothing would free what it made
   */
  async prepare(program: Program): Promise<Replay['run']> {
    if (this.lost !== null) throw new Error(this.lost)
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

  /** Frees the backend and its device; work that is under way rejects. */
  async dispose(): Promise<void> {
    this.lose('it was disposed of')
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
