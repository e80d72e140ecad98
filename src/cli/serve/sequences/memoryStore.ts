/** States of streams in the memory of this server. They end with it. */
import { type Claim, type Owned, type Refusal, type StateStore, TakenOverError } from './store.ts'

interface Entry {
  fingerprint: string
  key: string
  /** Token of the owner; null without one. */
  owner: object | null
  frame: number
  state: Uint8Array | null
}

/** Milliseconds after which a client that waits for a stream asks again. */
const ASK_AGAIN = 1000

export class MemoryStore implements StateStore {
  readonly isShared = false
  readonly isUp = true
  readonly #most: number
  /** By id, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry>()

  /** @param most largest number of states without an owner; the oldest are deleted */
  constructor(most: number) {
    this.#most = most
  }

  async open({ model, fingerprint, id, key, start }: Claim): Promise<Owned | Refusal> {
    const name = `${model}\n${id}`
    const before = this.#entries.get(name)
    const isMine = key !== '' && before?.key === key
    if (before?.owner && !isMine) return { heldFor: ASK_AGAIN }
    const goesOn = before?.state && (isMine || !start)
    if (!goesOn && !start) return 'unknown'
    if (goesOn && before.fingerprint !== fingerprint) return { fingerprint: before.fingerprint }
    const token = {}
    const { frame = 0, state = null } = goesOn ? before : {}
    const entry: Entry = { fingerprint, key, owner: token, frame, state }
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    const own = (): void => {
      if (entry.owner !== token || this.#entries.get(name) !== entry) throw new TakenOverError(id)
    }
    return {
      frame,
      state,
      save: async (frame, state) => {
        own()
        Object.assign(entry, { frame, state })
      },
      release: async () => {
        own()
        entry.owner = null
        this.#trim()
      },
      end: async () => {
        own()
        this.#entries.delete(name)
      },
    }
  }

  async close(): Promise<void> {
    this.#entries.clear()
  }

  #trim(): void {
    const idle = [...this.#entries].filter(([, { owner }]) => owner === null)
    for (const [name] of idle.slice(0, -this.#most)) this.#entries.delete(name)
  }
}
