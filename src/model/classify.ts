import { checkCount, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from '../stream/frames.ts'
import { toInput } from '../stream/input.ts'
import { overlap } from '../stream/overlap.ts'
import type { ReadOptions } from '../video/read.ts'
import type { ClipAnswer } from './clips.ts'
import { type Class, topsOf } from './heads/classification.ts'
import { RUN_OPTIONS, type RunOptions } from './options.ts'
import type { Sessions } from './sessions.ts'

/** Options for the classification of a video. */
export interface ClassifyOptions extends RunOptions, Omit<ReadOptions, keyof RunOptions> {
  /** Number of classes in `top`, 5 by default. */
  readonly topK?: number
  /**
   * Number of clips of framesPerClip frames, spread evenly over the video. By default one clip of
   * all frames.
   */
  readonly clips?: number
  /** Crops of each clip: 1 in the centre, or 3 along the longer side. */
  readonly views?: 1 | 3
}

/** The answer for a video: means over clips and views. */
export interface ClassifyResult {
  /** The most probable classes, the most probable first. */
  readonly top: readonly Class[]
  /** [c] */
  readonly logits: NdArray<Float32Array>
  /** [c] */
  readonly probs: NdArray<Float32Array>
  /** Number of frames in all clips. */
  readonly frames: number
  /** Number of clips. */
  readonly clips: number
  /** Number of crops of each clip. */
  readonly views: number
}

const CLASSIFY_OPTIONS: OptionNames<ClassifyOptions> = {
  topK: 1,
  clips: 1,
  views: 1,
  ...RUN_OPTIONS,
  ...READ_OPTIONS,
}

/** See TRecViT.classify. */
export async function classify(
  sessions: Sessions,
  labels: readonly string[] | null,
  source: FrameSource,
  options: ClassifyOptions,
): Promise<ClassifyResult> {
  checkOptions('classify', options, CLASSIFY_OPTIONS)
  const { topK = 5, clips, views = 1, onProgress, ...given } = options
  const reading = { onWarning: sessions.engines.warn, ...given }
  const { signal } = reading
  if (clips !== undefined) checkCount('clips', clips)
  if (views !== 1 && views !== 3)
    throw new TrecvitError(`"views" expected 1 or 3, got ${describe(views)}`)
  checkCount('topK', topK)
  const { numClasses: c, imageSize } = sessions.config
  let frames = 0
  let answers: ClipAnswer[] = []
  if (clips === undefined && views === 1) {
    const session = sessions.open({ b: 1, recent: 'all', encoded: false })
    try {
      await overlap(
        framesOf(source, imageSize, reading),
        async (frame) => session.advance(toInput(frame, 1, imageSize), 1),
        ({ outputs }) => {
          signal?.throwIfAborted()
          frames++
          onProgress?.(frames, frames)
          answers = [{ logits: outputs['logits']!, probs: outputs['probs']! }]
        },
      )
    } finally {
      await session.dispose()
    }
    if (frames === 0) throw new TrecvitError('The video has no frames')
  } else {
    const { classifyClips } = await import('./clips.ts')
    const run = { ...reading, clips, views, ...(onProgress && { onProgress }) }
    const found = await classifyClips(sessions, source, run)
    answers = found.answers
    frames = found.length * answers.length
  }
  const probs = meanOf(answers, 'probs')
  return {
    top: topsOf(probs, c, labels, topK)[0]!,
    logits: { data: meanOf(answers, 'logits'), shape: [c] },
    probs: { data: probs, shape: [c] },
    frames,
    clips: clips ?? 1,
    views,
  }
}

/** Returns the mean of the logits or the probabilities, [c]. */
export function meanOf(answers: readonly ClipAnswer[], name: keyof ClipAnswer): Float32Array {
  return answers[0]![name].map((_, index) => {
    let sum = 0
    for (const answer of answers) sum += answer[name][index]!
    return sum / answers.length
  })
}
