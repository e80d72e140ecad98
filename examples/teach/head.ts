/** A head over frozen features: learns actions, and recognises them. */
import { type Config, TrecvitError } from 'trecvit'
import { initialise, type Parameters, type Sample, Trainer } from 'trecvit/train'
import { isHead } from './encoder.ts'
import { featuresOf, type Rows, windowsOf } from './windows.ts'

const EPOCHS = 30
const BATCH = 16
const PEAK = 3e-3
const LABEL_SMOOTHING = 0.05
/** Heads of wider encoders are trained with several threads. */
const WIDE = 256

/** Progress of an epoch. */
export interface EpochResult {
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  readonly accuracy: number | null
}

/** Result for the clips that were held out: confusion[action][answer], numbers of clips. */
export type Confusion = readonly (readonly number[])[]

export class Head {
  readonly #trainer: Trainer
  readonly #window: number

  private constructor(trainer: Trainer, window: number) {
    this.#trainer = trainer
    this.#window = window
  }

  /**
   * Opens a head.
   * @param config of the whole model; a window is half of its clip
   * @param parameters values of the head; those that are missing are random
   * @param steps of the schedule
   */
  static async open(config: Config, parameters: Parameters, steps = 1): Promise<Head> {
    // Only the head is trained and run, so it gets the smallest encoder of its width.
    const alone: Config = { ...config, depth: 1, imageSize: config.patchSize }
    const trainer = await Trainer.create(alone, new Map([...initialise(alone, 1), ...parameters]), {
      schedule: { peak: PEAK, warmup: Math.ceil(steps / 12), steps },
      labelSmoothing: LABEL_SMOOTHING,
      trains: isHead,
      ...(config.width < WIDE && { threads: 1 }),
    })
    return new Head(trainer, config.framesPerClip / 2)
  }

  /**
   * Learns from the recordings of each action.
   * @throws the reason of the signal, when it is aborted
   */
  static async learn(
    config: Config,
    start: Parameters,
    actions: readonly (readonly Rows[])[],
    onEpoch: (result: EpochResult) => void,
    signal: AbortSignal,
  ): Promise<{ readonly head: Head; readonly confusion: Confusion }> {
    const frames = config.framesPerClip / 2
    const all = actions.map((recordings) => windowsOf(recordings, frames))
    const samplesOf = (part: 'train' | 'heldOut'): Sample[] =>
      all.flatMap((windows, label) =>
        windows[part].map((window) => ({
          clip: { data: featuresOf(window, frames), shape: [frames, config.width] },
          label,
        })),
      )
    const [train, heldOut] = [samplesOf('train'), samplesOf('heldOut')]
    const perEpoch = Math.ceil(train.length / BATCH)
    const head = await Head.open(config, start, EPOCHS * perEpoch)
    try {
      let [loss, confusion]: [number, Confusion] = [0, []]
      for await (const step of head.#trainer.fit(train, { epochs: EPOCHS, batch: BATCH, signal })) {
        loss += step.loss / perEpoch
        if (step.step % perEpoch) continue
        let accuracy: number | null = null
        if (heldOut.length > 0)
          ({ top1: accuracy, confusion } = await head.#trainer.evaluate(heldOut, { batch: BATCH }))
        onEpoch({ epoch: step.epoch, epochs: EPOCHS, loss, accuracy })
        loss = 0
        await yieldToEventLoop()
      }
      return { head, confusion }
    } catch (error) {
      await head.dispose()
      throw error
    }
  }

  /** Returns the probabilities of a window of features. */
  async answer(rows: readonly Float32Array[]): Promise<Float32Array> {
    const width = this.#trainer.config.width
    if (rows.length !== this.#window)
      throw new TrecvitError(`A window expected ${this.#window} frames, got ${rows.length}`)
    const data = new Float32Array(rows.length * width)
    for (const [index, row] of rows.entries()) data.set(row, index * width)
    const logits = await this.#trainer.classify({
      features: { data, shape: [1, rows.length, width] },
    })
    const largest = Math.max(...logits.data)
    const powers = logits.data.map((logit) => Math.exp(logit - largest))
    const sum = powers.reduce((total, power) => total + power, 0)
    return powers.map((power) => power / sum)
  }

  /** Returns the values of the head, by their official names. */
  async parameters(): Promise<Parameters> {
    return new Map([...(await this.#trainer.parameters())].filter(([name]) => isHead(name)))
  }

  dispose(): Promise<void> {
    return this.#trainer.dispose()
  }
}

/** Lets pictures of a camera be recognised between two epochs. */
const yieldToEventLoop = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))
