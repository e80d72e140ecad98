/** Clips and features of videos, in memory and on disk. */
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { manifest } from '../files.ts'
import type { Trainer } from '../train/index.ts'
import { readClip } from './clipReader.ts'
import { DiskCache, type Kept } from './diskCache.ts'
import { note } from './terminal.ts'
import type { Reading, TrainingOptions } from './trainingOptions.ts'

/** Bytes of clips in memory. Further clips are read again in each epoch. */
const MAX_HELD = 2 ** 30

/** The clips of a training, in memory up to a bound. */
export class ClipStore {
  readonly #reading: Reading
  readonly #cache: DiskCache | undefined
  readonly #held = new Map<string, NdArray<Uint8Array>>()
  #bytes = 0

  /** @param cache keeps clips and features of files */
  constructor(reading: Reading, cache: DiskCache | undefined) {
    this.#reading = reading
    this.#cache = cache
  }

  /** Whether further clips are held. */
  get hasRoom(): boolean {
    return this.#bytes <= MAX_HELD
  }

  /**
   * Returns the clip of a video [t, H, W, 3]. Takes no signal: Ctrl-C ends a training after a step.
   * @throws TrecvitError if the video cannot be read
   */
  async read(source: string): Promise<NdArray<Uint8Array>> {
    const held = this.#held.get(source)
    if (held) return held
    const clip = await this.#cached(source, 'clip', () => this.#decode(source))
    if (this.hasRoom) {
      this.#held.set(source, clip)
      this.#bytes += clip.data.byteLength
    }
    return clip
  }

  /**
   * Returns the features [t, d] of a video. The clip is not kept.
   * @param fingerprint of the encoder
   * @throws TrecvitError if the video cannot be read
   */
  features(source: string, trainer: Trainer, fingerprint: string): Promise<NdArray<Float32Array>> {
    return this.#cached(source, `features ${fingerprint}`, async () => {
      const { data, shape } = await this.#decode(source)
      const features = await trainer.features({ data, shape: [1, ...shape] })
      return { data: features.data, shape: features.shape.slice(1) }
    })
  }

  #decode(source: string): Promise<NdArray<Uint8Array>> {
    const { imageSize, choice } = this.#reading
    return readClip(source, { imageSize }, choice)
  }

  /** @param kind what is computed of the file */
  async #cached<T extends Kept>(source: string, kind: string, compute: () => Promise<T>) {
    const content = this.#cache && (await contentOf(source))
    if (!this.#cache || content === undefined) return compute()
    const { imageSize, choice } = this.#reading
    const key = hashOf([version(), kind, content, imageSize, choice])
    const found = await this.#cache.get(key)
    if (found) return found as T
    const computed = await compute()
    await this.#cache.put(key, computed)
    return computed
  }
}

/** Opens the cache in the folder of this user; undefined if nothing is kept. */
export async function openCache({
  cacheSize,
  quiet,
}: Pick<TrainingOptions, 'cacheSize' | 'quiet'>): Promise<DiskCache | undefined> {
  if (cacheSize === 0) return undefined
  const warn = (warning: string) => {
    if (!quiet) note(`warning: ${warning}`)
  }
  try {
    const { cacheFolder } = await import('../weights/cache.ts')
    return new DiskCache(join(await cacheFolder(), 'training'), cacheSize * 1e9, warn)
  } catch (error) {
    if (!(error instanceof TrecvitError)) throw error
    warn(error.message)
    return undefined
  }
}

/** Returns a hash of the parameters that features are a function of. */
export async function encoderFingerprint(trainer: Trainer): Promise<string> {
  const { numClasses: _, repSize: __, ...encoder } = trainer.config
  const hash = createHash('sha256').update(JSON.stringify(encoder))
  for (const [name, values] of await trainer.parameters())
    if (!name.startsWith('decoder/')) hash.update(name).update(values)
  return hash.digest('hex')
}

/** Returns the SHA-256 of a file; undefined if the source is something else. */
async function contentOf(source: string): Promise<string | undefined> {
  if (!(await stat(source).catch(() => undefined))?.isFile()) return undefined
  const hash = createHash('sha256')
  // A fault of reading is reported by the decoder.
  return pipeline(createReadStream(source), hash).then(
    () => hash.digest('hex'),
    () => undefined,
  )
}

function hashOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Version of this package: another one may decode in another way. */
function version(): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
