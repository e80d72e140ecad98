/** Computes maps over the picture from the model's tensors, and the time of each operation. */
import type { FrameLike } from 'trecvit'
import type { Engine } from './engine.ts'
import { keepWanted, mapOf, type Tensors } from './look.ts'
import type { Look } from './messages.ts'
import { post } from './turns.ts'

/** Least number of milliseconds between two maps while a video plays. */
const PAUSE = 200
/** Largest share of the time of a playing video for maps. */
const SHARE = 0.15

export class Insight {
  readonly #engine: Engine
  #look: Look | null = null
  /** Time at which the next map may be computed. */
  #due = 0
  /** Tensors of the latest traced frame. */
  #seen: Tensors | undefined

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Whether to trace the next frame. */
  wants(playing: boolean): boolean {
    return this.#look !== null && !(playing && performance.now() < this.#due)
  }

  /** Runs a frame again from the state before it, and keeps its tensors. */
  async take(before: Uint8Array, frame: FrameLike): Promise<void> {
    const start = performance.now()
    const twin = await this.#engine.model.resume(before)
    try {
      this.#seen = keepWanted(await twin.trace(frame))
    } finally {
      await twin.dispose()
    }
    await this.#postMap()
    const end = performance.now()
    this.#due = end + Math.max(PAUSE, (end - start) / SHARE)
  }

  /** @returns whether the frame on the page must be traced for this map */
  async change(look: Look | null): Promise<boolean> {
    this.#look = look
    if (look && !this.#seen) return true
    await this.#postMap()
    return false
  }

  /** Called for another video or model. */
  forget(): void {
    this.#seen = undefined
    this.#due = 0
    if (!this.#engine.isReady || !this.#look) return
    const { depth, numHeads } = this.#engine.model.config
    const { layer, head } = this.#look
    this.#look = {
      ...this.#look,
      layer: Math.min(layer, depth - 1),
      head: head !== null && head < numHeads ? head : null,
    }
  }

  async profile(): Promise<void> {
    const { model } = this.#engine
    const [height, width] = model.config.imageSize
    const ops = new Map<string, number>()
    const black = { data: new Uint8Array(height * width * 3), shape: [1, height, width, 3] }
    for (const { op, milliseconds } of await model.profile(black))
      ops.set(op, (ops.get(op) ?? 0) + milliseconds)
    post({
      type: 'profile',
      ops: [...ops]
        .map(([op, milliseconds]) => ({ op, milliseconds }))
        .sort((one, other) => other.milliseconds - one.milliseconds),
    })
  }

  async #postMap(): Promise<void> {
    if (!this.#look || !this.#seen) return
    const { config } = this.#engine.model
    const { imageSize: size, patchSize } = config
    post({
      type: 'map',
      values: await mapOf(this.#seen, config, this.#engine.weights, this.#look),
      grid: [size[0] / patchSize[0], size[1] / patchSize[1]],
      size,
      view: this.#look.view,
    })
  }
}
