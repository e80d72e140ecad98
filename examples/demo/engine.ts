/** The current model and its stream. A new model replaces them only after it is loaded. */
import { type Stream, TRecViT } from 'trecvit'
import motion from 'trecvit/motion'
import { type Origin, type Settings, WINDOW } from './messages.ts'
import { storedKinetics } from './offer.ts'
import { post } from './turns.ts'
import { watchedGpu } from './watchedGpu.ts'

/** Number of classes in a reply. */
const TOP = 8
/** Milliseconds between two reports of progress. */
const REPORT = 100

/** A loaded model and its source. */
interface Loaded {
  readonly model: TRecViT
  readonly settings: Settings
  readonly origin: Origin
  /** Source of its weights for later reads; null for the built-in model. */
  readonly weights: Blob | URL | null
}

export class Engine {
  #now: Loaded | undefined
  #stream: Stream | undefined
  #loading: AbortController | undefined
  #shown = { device: '', backend: '' }

  get isReady(): boolean {
    return this.#now !== undefined
  }
  get model(): TRecViT {
    return this.#now!.model
  }
  get stream(): Stream {
    return this.#stream!
  }
  get settings(): Settings {
    return this.#now!.settings
  }
  get origin(): Origin {
    return this.#now!.origin
  }
  get weights(): Loaded['weights'] {
    return this.#now!.weights
  }

  /** Whether only the device would change, to a named one. The stream can then move there. */
  canMove(next: Settings, origin: Origin): boolean {
    const rest = (of: Settings) => String(Object.values({ ...of, device: 0 }))
    return (
      this.#now !== undefined &&
      origin === this.origin &&
      next.device !== 'auto' &&
      rest(next) === rest(this.settings)
    )
  }

  async move(settings: Settings & { readonly device: 'webgpu' | 'wasm' }): Promise<void> {
    await this.stream.moveTo(settings.device)
    this.#now = { ...this.#now!, settings }
    this.postDevice()
  }

  /** Loads a model while the current one runs. */
  async load(settings: Settings, origin: Origin): Promise<Loaded> {
    const { device, dtype, threads, deterministic } = settings
    this.cancel()
    const loading = new AbortController()
    this.#loading = loading
    try {
      const model = await TRecViT.load(sourceOf(origin), {
        device,
        deterministic,
        signal: loading.signal,
        ...(dtype && { dtype }),
        ...(threads && { threads }),
        ...(watchedGpu && { gpu: watchedGpu }),
        ...(origin.labels && { labels: origin.labels }),
        ...(origin.kind !== 'builtin' && { onProgress: reporter(nameOf(origin)!) }),
      })
      return { model, settings, origin, weights: await weightsOf(origin) }
    } finally {
      if (this.#loading === loading) this.#loading = undefined
      post({ type: 'loading', progress: null })
    }
  }

  cancel(): void {
    this.#loading?.abort()
  }

  /**
   * Replaces the current model by a loaded one.
   * @returns whether the state of the stream was kept: only if the weights are the same
   */
  async adopt(loaded: Loaded): Promise<boolean> {
    const { model, origin } = loaded
    const isSame = this.#now?.weights === loaded.weights && this.origin.kind === origin.kind
    try {
      const state = isSame ? await this.#stream?.snapshot() : undefined
      const stream = state
        ? await model.resume(state, { topK: TOP })
        : model.stream({ average: { frames: WINDOW }, topK: TOP })
      await this.#stream?.dispose()
      await this.#now?.model.dispose()
      this.#stream = stream
      this.#now = loaded
    } catch (error) {
      await model.dispose()
      throw error
    }
    this.postDevice()
    this.#postModel()
    return isSame
  }

  /** Resumes the stream from a snapshot. */
  async goBack(snapshot: Uint8Array): Promise<void> {
    const stream = await this.model.resume(snapshot, { topK: TOP })
    await this.#stream?.dispose()
    this.#stream = stream
  }

  postDevice(): void {
    const { device } = this.stream
    this.#shown = { device: JSON.stringify(device), backend: device.backend }
    post({
      type: 'device',
      device,
      dtype: this.model.dtype,
      canLose: device.backend === 'webgpu',
    })
  }

  /** Called after an answer: reports a change of device. */
  watchDevice(): void {
    const { device } = this.stream
    if (JSON.stringify(device) === this.#shown.device) return
    const place = device.backend === 'wasm' ? 'on the CPU' : 'on a new device'
    if (this.#shown.backend === 'webgpu')
      post({
        type: 'note',
        text: `The GPU was lost. The stream continues ${place}; no frame is missing.`,
      })
    this.postDevice()
  }

  #postModel(): void {
    const { config, labels, warnings } = this.model
    const { imageSize, depth, width, numHeads, numClasses } = config
    post({
      type: 'model',
      kind: this.origin.kind,
      name: nameOf(this.origin),
      about:
        `${imageSize.join('×')} pixels, ${depth} layers of ${width} channels, ` +
        `${numClasses} classes${labels ? '' : ' without names'}`,
      labels,
      classes: numClasses,
      layers: depth,
      heads: numHeads,
    })
    for (const text of warnings) post({ type: 'note', text })
  }
}

const sourceOf = (origin: Origin): string | URL | File | Uint8Array => {
  if (origin.kind === 'file') return origin.file
  // The bytes, not the name, whose table would be another file to wait for.
  if (origin.kind === 'builtin') return motion
  return origin.url ? new URL(origin.url) : 'k400'
}

async function weightsOf(origin: Origin): Promise<Blob | URL | null> {
  if (origin.kind === 'builtin') return null
  if (origin.kind === 'file') return origin.file
  return origin.url ? new URL(origin.url) : storedKinetics()
}

function nameOf(origin: Origin): string | null {
  if (origin.kind === 'builtin') return null
  return origin.kind === 'file' ? origin.file.name : 'Kinetics-400'
}

function reporter(name: string): (done: number, total: number) => void {
  const start = performance.now()
  let reported = start
  return (done, total) => {
    const now = performance.now()
    if (now - reported < REPORT) return
    reported = now
    const seconds = ((now - start) / 1000) * (total / done - 1)
    post({ type: 'loading', progress: { name, done, total, seconds } })
  }
}
