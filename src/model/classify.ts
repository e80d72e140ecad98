import { checkCount, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import { ahead } from '../stream/ahead.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from '../stream/frames.ts'
import { isPicture, loadPictures, type Pixels, toInput } from '../stream/input.ts'
import type { ReadOptions } from '../video/read.ts'
import { type Config, frameSizeOf } from './config.ts'
import { type Class, topsOf } from './heads/classification.ts'
import { RUN_OPTIONS, type RunOptions } from './options.ts'
import type { Sessions } from './sessions.ts'

/** How a video is classified. */
export interface ClassifyOptions extends RunOptions, Omit<ReadOptions, keyof RunOptions> {
  /** Classes in `top`, 5 unless given. */
  readonly topK?: number
  /**
   * Clips of framesPerClip frames, evenly spread over the video, instead of one clip of all frames.
   */
  readonly clips?: number
  /** Crops of each clip: 1 in the centre, or 3 along the longer side. */
  readonly views?: 1 | 3
}

/** The answer about a video: means over clips and views. */
export interface ClassifyResult {
  /** The most probable classes, the best first. */
  readonly top: readonly Class[]
  /** [c] */
  readonly logits: NdArray<Float32Array>
  /** [c] */
  readonly probs: NdArray<Float32Array>
  /** Frames that the answer stands for, in all clips. */
  readonly frames: number
  /** Clips that were averaged. */
  readonly clips: number
  /** Crops of each clip that were averaged. */
  readonly views: number
}

const CLASSIFY_OPTIONS: OptionNames<ClassifyOptions> = {
  topK: 1,
  clips: 1,
  views: 1,
  ...RUN_OPTIONS,
  ...READ_OPTIONS,
}

/** Pixels held while clips are chosen; a longer video needs a stride. */
const MAX_HELD = 2 ** 31

/** See TRecViT.classify. */
export async function classify(
  sessions: Sessions,
  labels: readonly string[] | null,
  source: FrameSource,
  options: ClassifyOptions,
): Promise<ClassifyResult> {
  checkOptions('classify', options, CLASSIFY_OPTIONS)
  const { topK = 5, clips, views = 1, signal, onProgress } = options
  if (clips !== undefined) checkCount('clips', clips)
  if (views !== 1 && views !== 3)
    throw new TrecvitError(`"views" expected 1 or 3, got ${describe(views)}`)
  checkCount('topK', topK)
  const { config } = sessions
  const { numClasses: c, framesPerClip } = config

  const logits = new Float64Array(c)
  const probs = new Float64Array(c)
  let answers = 0
  let frames = 0
  const session = sessions.open({ b: 1, recent: 'all', encoded: false })
  try {
    if (clips === undefined && views === 1) {
      for await (const pixels of ahead(pixelsOf(config, source, options))) {
        const { outputs } = await session.advance(pixels[0]!, 1)
        signal?.throwIfAborted()
        frames++
        onProgress?.(frames, frames)
        logits.set(outputs['logits']!)
        probs.set(outputs['probs']!)
      }
      answers = 1
    } else {
      const held = await hold(config, source, options, views)
      const t = held[0]!.length / frameSizeOf(config)
      const length = clips === undefined ? t : Math.min(framesPerClip, t)
      const count = clips ?? 1
      for (let clip = 0; clip < count; clip++) {
        const start =
          count === 1
            ? Math.floor((t - length) / 2)
            : Math.round((clip * (t - length)) / (count - 1))
        for (const view of held) {
          await session.reset()
          let last: Record<string, Float32Array> | undefined
          const size = frameSizeOf(config)
          for await (const outputs of sessions.feed(
            session,
            view.subarray(start * size, (start + length) * size),
          )) {
            last = outputs
            signal?.throwIfAborted()
            onProgress?.(frames + session.frame, count * views * length)
          }
          frames += length
          answers++
          last!['logits']!.slice(-c).forEach((value, index) => (logits[index]! += value))
          last!['probs']!.slice(-c).forEach((value, index) => (probs[index]! += value))
        }
      }
    }
  } finally {
    await session.dispose()
  }
  if (frames === 0) throw new TrecvitError('The video has no frames')
  const mean = (sums: Float64Array) => Float32Array.from(sums, (sum) => sum / answers)
  const result = mean(probs)
  return {
    top: topsOf(result, c, labels, topK)[0]!,
    logits: { data: mean(logits), shape: [c] },
    probs: { data: result, shape: [c] },
    frames,
    clips: clips ?? 1,
    views,
  }
}

/** All frames as pixels [t, H, W, 3], once for each view. */
async function hold(
  config: Config,
  source: FrameSource,
  options: ClassifyOptions,
  views: number,
): Promise<Pixels[]> {
  const held: Pixels[][] = Array.from({ length: views }, () => [])
  let bytes = 0
  for await (const pixels of pixelsOf(config, source, options)) {
    options.signal?.throwIfAborted()
    pixels.forEach((view, index) => held[index]!.push(view))
    bytes += pixels.reduce((sum, view) => sum + view.byteLength, 0)
    if (bytes > MAX_HELD)
      throw new TrecvitError(
        `The clips need more than ${MAX_HELD} bytes of frames; give "stride", "fps" or "frames"`,
      )
  }
  if (!bytes) throw new TrecvitError('The video has no frames')
  return held.map((frames) => {
    const size = frames[0]!.length
    const all =
      frames[0] instanceof Uint8Array
        ? new Uint8Array(frames.length * size)
        : new Float32Array(frames.length * size)
    frames.forEach((frame, index) => all.set(frame, index * size))
    return all
  })
}

/** The pixels [H, W, 3] of every frame that is sampled, in each of the views. */
async function* pixelsOf(
  { imageSize }: Config,
  source: FrameSource,
  { topK, clips, views = 1, onProgress, ...options }: ClassifyOptions,
): AsyncGenerator<Pixels[], void, undefined> {
  const [height, width] = imageSize
  for await (const frame of framesOf(source, imageSize, options)) {
    if (views === 1) yield [await toInput(frame, 1, imageSize)]
    else if (isPicture(frame)) {
      const { frameOf, toPixels } = await loadPictures()
      const whole = await frameOf(frame)
      yield Array.from({ length: views }, (_, view) =>
        toPixels(whole, { height, width, view, views }),
      )
    } else
      throw new TrecvitError(
        `"views" of ${views} expected decoded frames, got pixels of the model's size`,
      )
  }
}
