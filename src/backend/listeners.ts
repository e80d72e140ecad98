import { describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import type { Device } from './backend.ts'

/** Events of a model, by name. */
export interface ModelEvents {
  /** Streams continue on another device, or on a new one of the same kind, after a loss. */
  readonly device: {
    /** The device that streams continue on. */
    readonly device: Device
    /** Why the device before was lost. */
    readonly reason: string
  }
  /**
   * A warning after loading: no device can be opened after a loss, or a video is damaged and the
   * call that reads it has no `onWarning`.
   */
  readonly warning: string
}

/** A listener of one event. */
type Listener<Name extends keyof ModelEvents> = (event: ModelEvents[Name]) => void

/** The listeners of a model. */
export class Listeners {
  readonly #all = {
    device: new Set<Listener<'device'>>(),
    warning: new Set<Listener<'warning'>>(),
  }

  /** See TRecViT.on. */
  on<Name extends keyof ModelEvents>(name: Name, listener: Listener<Name>): () => void {
    if (!Object.hasOwn(this.#all, name))
      throw new TrecvitError(`"on" expected 'device' or 'warning', got ${describe(name)}`)
    if (typeof listener !== 'function')
      throw new TrecvitError(`"on" expected a function as listener, got ${describe(listener)}`)
    // A function of its own for each call: the same listener may be added twice.
    const own: Listener<Name> = (event) => listener(event)
    const listeners = this.#all[name] as Set<Listener<Name>>
    listeners.add(own)
    return () => void listeners.delete(own)
  }

  /** Calls the listeners of an event. An error of a listener is reported as uncaught. */
  emit<Name extends keyof ModelEvents>(name: Name, event: ModelEvents[Name]): void {
    for (const listener of this.#all[name] as Set<Listener<Name>>) {
      try {
        listener(event)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
