/** Options that train and pretrain share. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { TrecvitError } from '../base/error.ts'
import type { Config } from '../model/config.ts'
import type { Augmentation, TrainerOptions } from '../train/index.ts'
import type { ClipChoice } from './clipReader.ts'
import { integer, positive } from './options.ts'
import type { GlobalOptions } from './run.ts'

export interface TrainingOptions extends GlobalOptions {
  readonly out: string
  readonly epochs: number
  readonly batch: number
  readonly frames?: number
  /** Range of the stride. */
  readonly stride: readonly [number, number]
  readonly lr?: number
  readonly weightDecay: number
  readonly microBatch?: number
  readonly recompute?: boolean
  readonly ema?: number
  readonly seed: number
  readonly augment?: boolean
  readonly flip?: boolean
  readonly threads?: number
  /** Gigabytes. */
  readonly cacheSize: number
  readonly html?: string
  readonly resume?: boolean
  readonly force?: boolean
}

/** Values and help that differ between the commands. */
export interface TrainingDefaults {
  /** Default and what the frames are a default of, for the help. */
  readonly frames: string
  readonly epochs: number
  readonly stride: number
  readonly lr: string
  readonly weightDecay: number
  /** What --html draws. */
  readonly drawn: string
  /** What the seed is of. */
  readonly seed: string
}

export function addTrainingOptions(command: Command, defaults: TrainingDefaults): Command {
  return command
    .option('--epochs <n>', 'passes over the videos', integer(1), defaults.epochs)
    .option('--batch <n>', 'videos in a batch', integer(1), 8)
    .option(
      '--frames <n>',
      `frames of each video, from its middle (default: ${defaults.frames})`,
      integer(1),
    )
    .addOption(
      new Option(
        '--stride <n>',
        'take every n-th frame; with --augment also a range to draw from, like 1-3',
      )
        .argParser(range)
        .default([defaults.stride, defaults.stride], String(defaults.stride)),
    )
    .option('--lr <n>', `largest learning rate (default: ${defaults.lr})`, positive)
    .option('--weight-decay <n>', 'weight decay of the matrices', Number, defaults.weightDecay)
    .option('--micro-batch <n>', 'videos that are computed at once, for less memory', integer(1))
    .option('--recompute', 'compute each layer again for its gradients, for less memory')
    .option('--ema <n>', 'decay of an average of the weights, which is written, like 0.999', Number)
    .option('--seed <n>', `of ${defaults.seed}`, integer(0, 2 ** 32 - 1), 1)
    .option('--augment', 'vary scale, place, colours and first frame of each clip in each epoch')
    .option('--flip', 'augment, and mirror half of the clips; not for classes with a direction')
    .option('--threads <n>', 'threads, 1 to 64 (default: one per core, at most 8)', integer(1, 64))
    .option(
      '--cache-size <GB>',
      'clips and features that are kept on disk for the next training; 0 keeps none',
      gigabytes,
      2,
    )
    .option('--html <file>', `draw ${defaults.drawn} on a page`)
    .option('--resume', 'continue from the file of --out, which Ctrl-C wrote; same options')
    .option('-f, --force', 'replace the file if it exists')
}

/** Returns the options of a trainer: AdamW with a warm-up over a twelfth of the steps. */
export function optimizerOf(
  { weightDecay, microBatch, recompute, ema, threads }: TrainingOptions,
  { peak, steps }: { readonly peak: number; readonly steps: number },
): TrainerOptions {
  // The rate of the first step of a warm-up is 0, so a single step has none.
  const warmup = Math.min(Math.ceil(steps / 12), steps - 1)
  return {
    schedule: { peak, warmup, steps },
    weightDecay,
    ...(microBatch !== undefined && { microBatch }),
    ...(recompute && { recompute: 'layer' }),
    ...(ema !== undefined && { ema }),
    ...(threads !== undefined && { threads }),
  }
}

/** Part of the size of an augmented clip that the model sees: 224 of 256 pixels. */
const CROP = 7 / 8
/** Frames that are read of an augmented clip, in clips. */
const SPAN = 2

/** Which part of each video is read, and how it is varied. */
export interface Reading {
  readonly choice: ClipChoice
  readonly imageSize: readonly [number, number]
  readonly augment?: Augmentation
}

/**
 * Without augmentation, the clip in the middle of a video, at the size of the model. With it, a
 * longer and larger clip, and how it is varied.
 * @throws TrecvitError if the stride is a range and the clips are not augmented
 */
export function readingOf(
  { imageSize, framesPerClip }: Pick<Config, 'imageSize' | 'framesPerClip'>,
  {
    frames = framesPerClip,
    stride: [least, most],
    augment = false,
    flip = false,
  }: Pick<TrainingOptions, 'frames' | 'stride' | 'augment' | 'flip'>,
): Reading {
  if (!augment && !flip) {
    if (least !== most)
      throw new TrecvitError(
        `"--stride" of ${least}-${most} expected --augment, which draws from the range; give one ` +
          'number, or --augment',
      )
    return { choice: { frames, stride: least }, imageSize }
  }
  const isFixed = least === most
  return {
    choice: { frames: SPAN * frames * (isFixed ? 1 : most), stride: isFixed ? least : 1 },
    imageSize: imageSize.map((side) => Math.round(side / CROP)) as [number, number],
    augment: { size: imageSize, frames, flip, stride: isFixed ? [1, 1] : [least, most] },
  }
}

function gigabytes(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value < Infinity))
    throw new InvalidArgumentError('Expected a number of gigabytes, at least 0.')
  return value
}

/** Parses one number, or a range of two. */
function range(text: string): [number, number] {
  const [, least, most = least] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? []
  if (!(Number(least) >= 1 && Number(most) >= Number(least)))
    throw new InvalidArgumentError('Expected an integer, at least 1, or a range like 1-3.')
  return [Number(least), Number(most)]
}
