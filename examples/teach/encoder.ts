/** The frozen encoder: turns frames into the features that a head reads. */
import { type Config, type FeatureStream, type FrameLike, TRecViT, TrecvitError } from 'trecvit'
import motion from 'trecvit/motion'
import { encodeCheckpoint, loadParameters, type Parameters } from 'trecvit/train'

/** Largest number of frames per second. */
const MAX_RATE = 30
/** Part of the time of a frame that the encoder may take. */
const LOAD = 0.7
/** Frames that its speed is measured with. */
const TRIALS = 6

/** Whether a parameter is of the head. */
export const isHead = (name: string): boolean => name.startsWith('decoder/')

export class Encoder {
  readonly #model: TRecViT
  /** Its file; null for the built-in one. */
  readonly file: File | null
  /** Frames per second that this device can encode, at most 30. */
  readonly rate: number
  /** Values of the first layer of its head, if it has one: a head learns from there. */
  readonly start: Parameters

  private constructor(model: TRecViT, file: File | null, rate: number, start: Parameters) {
    this.#model = model
    this.file = file
    this.rate = rate
    this.start = start
  }

  /**
   * @param file a checkpoint, or null for the built-in model
   * @throws TrecvitError if it cannot be read, or stores integers
   */
  static async open(file: File | null, onProgress: (share: number) => void): Promise<Encoder> {
    const source = file ?? motion
    const model = await TRecViT.load(source, {
      onProgress: (done, total) => onProgress(done / total),
    })
    try {
      if (model.dtype === 'int8')
        throw new TrecvitError(
          `"${file?.name}" stores int8 weights; open the checkpoint that it was converted from`,
        )
      const start = await loadParameters(source, model.config, {
        only: (name) => name.startsWith('decoder/pre_logits'),
      })
      return new Encoder(model, file, await rateOf(model), start)
    } catch (error) {
      await model.dispose()
      throw error
    }
  }

  /** Identifies its weights. Features of other weights mean something else. */
  get fingerprint(): string {
    return this.#model.fingerprint
  }

  get about(): string {
    const { imageSize, depth, width } = this.#model.config
    const { backend, threads } = this.#model.device
    const device =
      backend === 'webgpu' ? 'WebGPU' : `CPU, ${threads === 1 ? '1 thread' : `${threads} threads`}`
    return (
      `${imageSize.join('×')} pixels, ${depth} layers of ${width} channels, on the ${device}; ` +
      `${this.rate === 1 ? '1 frame' : `${this.rate} frames`} a second`
    )
  }

  /** Frames of a window: the answer stands for half a second. */
  get window(): number {
    return Math.max(4, Math.round(this.rate / 2))
  }

  /** Configuration of a model with a head for so many classes. */
  configFor(numClasses: number): Config {
    const { config } = this.#model
    return {
      ...{ ...config, numClasses },
      repSize: config.repSize || 4 * config.width,
      // Streams average over half a clip by default.
      framesPerClip: 2 * this.window,
    }
  }

  open(): FeatureStream {
    return this.#model.featureStream()
  }

  /** Returns the features [d] of a frame that a head reads: the class token, or the mean. */
  async encode(stream: FeatureStream, frame: FrameLike): Promise<Float32Array> {
    const { features } = await stream.push(frame)
    const { width, poolType } = this.#model.config
    if (poolType === 'tok') return features.data.slice(0, width)
    const tokens = features.data.length / width
    return Float32Array.from({ length: width }, (_, channel) => {
      let sum = 0
      for (let token = 0; token < tokens; token++) sum += features.data[token * width + channel]!
      return sum / tokens
    })
  }

  /** Returns the encoder with a head as a .safetensors file. */
  async join(head: Parameters, labels: readonly string[]): Promise<Uint8Array> {
    const config = this.configFor(labels.length)
    const own = await loadParameters(this.file ?? motion, config, { only: (name) => !isHead(name) })
    return encodeCheckpoint(config, new Map([...own, ...head]), labels)
  }

  dispose(): Promise<void> {
    return this.#model.dispose()
  }
}

/** Measures the frames per second that a model can encode. */
async function rateOf(model: TRecViT): Promise<number> {
  const [height, width] = model.config.imageSize
  const frame = { data: new Uint8Array(height * width * 3), shape: [height, width, 3] }
  let least = Infinity
  await using stream = model.featureStream()
  for (let trial = 0; trial < TRIALS; trial++) {
    const start = performance.now()
    await stream.push(frame)
    least = Math.min(least, performance.now() - start)
  }
  return Math.min(MAX_RATE, Math.max(1, Math.floor((1000 * LOAD) / least)))
}
