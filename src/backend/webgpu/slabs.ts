import { TrecvitError } from '../../base/error.ts'
import { Turns } from '../../base/turns.ts'
import type { State } from '../../program/program.ts'
import { Slab, type SlabResources } from './slab.ts'

/** The slabs of a backend, by the shapes of their states. */
export class Slabs {
  readonly #resources: SlabResources
  readonly #byShapes = new Map<string, Slab[]>()
  /** One slot is taken at a time. */
  readonly #turns = new Turns()

  constructor(resources: SlabResources) {
    this.#resources = resources
  }

  /**
   * Takes a slot in the first slab that has one, or can grow.
   * @throws TrecvitError if the states do not fit
   */
  take(states: readonly State[]): Promise<[slab: Slab, slot: number]> {
    return this.#turns.take(async () => {
      const shapes = JSON.stringify(states)
      const slabs = (this.#byShapes.get(shapes) ?? []).filter(({ streams }) => streams)
      this.#byShapes.set(shapes, slabs)
      for (const slab of slabs) {
        const slot = slab.take()
        if (slot >= 0) return [slab, slot]
      }
      for (const slab of slabs.filter(({ canGrow }) => canGrow)) {
        try {
          return [slab, await slab.grow()]
        } catch (error) {
          // Growing needs memory for the old slots and the new ones. One new slot may still fit.
          if (!(error instanceof TrecvitError)) throw error
        }
      }
      const slab = await Slab.create(this.#resources, states)
      slabs.push(slab)
      return [slab, slab.take()]
    })
  }
}
