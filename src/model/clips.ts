/** Clips and crops of one video, classified as a batch. */
import { TrecvitError } from '../base/error.ts'
import { yieldToEventLoop } from '../platform/platform.ts'
import { type FrameSource, framesOf } from '../stream/frames.ts'
import { isPicture, loadPictures, type Pixels, toInput } from '../stream/input.ts'
import { overlap } from '../stream/overlap.ts'
import type { Outputs } from '../stream/session.ts'
import type { ReadOptions } from '../video/read.ts'
import { type Config, frameSizeOf, tokensOf } from './config.ts'
import type { RunOptions } from './options.ts'
import { chunkOf, type Sessions } from './sessions.ts'

/** The last answer of one clip in one view. */
export interface ClipAnswer {
  /** [c] */
  readonly logits: Float32Array
  /** [c] */
  readonly probs: Float32Array
}

/** Clips and crops of a video. */
export interface ClipOptions extends RunOptions, Omit<ReadOptions, keyof RunOptions> {
  /** Clips of framesPerClip frames; without it, one clip of all frames. */
  readonly clips: number | undefined
  readonly views: 1 | 3
  /** Answers of an earlier run, which are not computed again. */
  readonly answers?: readonly ClipAnswer[]
  /** Called with all answers so far, after each batch. */
  readonly onAnswers?: (answers: readonly ClipAnswer[], frames: number) => void
}

/** Largest number of bytes of pixels held while clips are chosen. A longer video needs a stride. */
const MAX_HELD = 2 ** 31
/** Clips in a batch on a GPU. On a CPU, a batch has as many as fit its caches. */
const GPU_BATCH = 16

/**
 * Classifies clips, evenly spread over the video, each in every view and from an empty state.
 * @returns the frames of a clip, and the answers, clip by clip
 * @throws TrecvitError if the video has no frames or too many to hold
 */
export async function classifyClips(
  sessions: Sessions,
  source: FrameSource,
  { clips, views, onProgress, answers: before = [], onAnswers, ...options }: ClipOptions,
): Promise<{ length: number; answers: ClipAnswer[] }> {
  const { config, engines } = sessions
  const size = frameSizeOf(config)
  const held = await hold(config, source, views, options)
  const t = held[0]!.length / size
  const length = clips === undefined ? t : Math.min(config.framesPerClip, t)
  const count = clips ?? 1
  const runs = Array.from({ length: count }, (_, clip) =>
    count === 1 ? Math.floor((t - length) / 2) : Math.round((clip * (t - length)) / (count - 1)),
  ).flatMap((start) => held.map((view) => view.subarray(start * size, (start + length) * size)))

  const rows = chunkOf(tokensOf(config))
  const most = engines.current.kind === 'webgpu' ? GPU_BATCH : rows
  const b = Math.ceil(runs.length / Math.ceil(runs.length / most))
  const answers = [...before]
  for (let at = answers.length; at < runs.length; at += b) {
    const batch = runs.slice(at, at + b)
    const session = sessions.open({ b: batch.length, recent: 'all', encoded: false })
    const inChunk = Math.max(1, Math.floor(rows / batch.length))
    try {
      let last: Outputs = {}
      await overlap(
        chunksOf(length, inChunk),
        ([from, t]) => session.advance(batchPart(batch, from * size, t * size), t),
        async ({ outputs }, [from, t]) => {
          last = outputs
          options.signal?.throwIfAborted()
          await yieldToEventLoop()
          onProgress?.(at * length + (from + t) * batch.length, runs.length * length)
        },
      )
      batch.forEach((_, i) => answers.push(answerOf(last, i, batch.length, config.numClasses)))
    } finally {
      await session.dispose()
    }
    onAnswers?.(answers, answers.length * length)
  }
  return { length, answers }
}

/** Yields the first frame and the number of frames of each chunk. */
function* chunksOf(length: number, inChunk: number): Generator<readonly [number, number]> {
  for (let from = 0, t: number; from < length; from += t) {
    // Two programs serve every length: whole chunks, then single frames.
    t = length - from >= inChunk ? inChunk : 1
    yield [from, t]
  }
}

/** Returns the answer to the last frame of one video of a batch. The outputs are [b, t, c]. */
function answerOf(outputs: Outputs, i: number, b: number, c: number): ClipAnswer {
  const lastOf = (values: Float32Array): Float32Array => {
    const end = ((i + 1) * values.length) / b
    return values.subarray(end - c, end)
  }
  return { logits: lastOf(outputs['logits']!), probs: lastOf(outputs['probs']!) }
}

/** Returns the same frames of every clip, as one batch. */
function batchPart(clips: readonly Pixels[], from: number, size: number): Pixels {
  if (clips.length === 1) return clips[0]!.subarray(from, from + size)
  return joined(clips.map((clip) => clip.subarray(from, from + size)))
}

function joined(parts: readonly Pixels[]): Pixels {
  const size = parts[0]!.length
  const all =
    parts[0] instanceof Uint8Array
      ? new Uint8Array(parts.length * size)
      : new Float32Array(parts.length * size)
  parts.forEach((part, index) => all.set(part, index * size))
  return all
}

/** Reads all frames as pixels [t, H, W, 3], once for each view. */
async function hold(
  { imageSize }: Config,
  source: FrameSource,
  views: number,
  options: ReadOptions,
): Promise<Pixels[]> {
  const [height, width] = imageSize
  const held: Pixels[][] = Array.from({ length: views }, () => [])
  let bytes = 0
  for await (const frame of framesOf(source, imageSize, options)) {
    options.signal?.throwIfAborted()
    let pixels: Pixels[]
    if (views === 1) pixels = [await toInput(frame, 1, imageSize)]
    else if (isPicture(frame)) {
      const { frameOf, toPixels } = await loadPictures()
      const whole = await frameOf(frame)
      pixels = held.map((_, view) => toPixels(whole, { height, width, view, views }))
    } else
      throw new TrecvitError(
        `"views" of ${views} expected decoded frames, got pixels of the model's size`,
      )
    pixels.forEach((view, index) => held[index]!.push(view))
    bytes += pixels.reduce((sum, view) => sum + view.byteLength, 0)
    if (bytes > MAX_HELD)
      throw new TrecvitError(
        `The clips need more than ${MAX_HELD} bytes of frames; give "stride", "fps" or "frames"`,
      )
  }
  if (!bytes) throw new TrecvitError('The video has no frames')
  return held.map(joined)
}
