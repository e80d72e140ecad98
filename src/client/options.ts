import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'

/** Frames that an answer covers. */
export type RemoteAverage =
  | 'all'
  | {
      /** Number of frames, 1 to 4096. */
      readonly frames: number
    }
  | {
      /** Frames after which the weight of a frame halves, up to 1e5. */
      readonly halfLife: number
    }

/** Options of a stream at a server. */
export interface RemoteStreamOptions {
  /** Name of the stream, the same on every server: 1 to 128 characters. */
  readonly sequenceId: string
  /** Width of raw RGB frames. Without a size each frame is a JPEG or PNG picture. */
  readonly width?: number
  /** Height of raw RGB frames. */
  readonly height?: number
  /** Frames that an answer covers, as for `model.stream`. Not with `resume`. */
  readonly average?: RemoteAverage
  /** Number of classes in `top`, 5 by default. */
  readonly topK?: number
  /**
   * Continues a stream that another client has closed or left, by default false. `opened` gives the
   * number of the first frame to push.
   */
  readonly resume?: boolean
  /** Largest number of frames to keep until the server has saved them, 8,192 by default. */
  readonly maxFrames?: number
  /** Largest number of bytes of these frames, 64 MiB by default. */
  readonly maxBytes?: number
  /** Milliseconds to wait for a message before another server is tried; 10,000 by default. */
  readonly timeout?: number
  /** Milliseconds without a server after which the stream fails; 60,000 by default. */
  readonly retryTimeout?: number
  /** Ends the stream at once when it is aborted. The server keeps what is saved. */
  readonly signal?: AbortSignal
}

/** Milliseconds for an answer of the server, by default. */
export const TIMEOUT = 10_000

const NAMES: OptionNames<RemoteStreamOptions> = {
  sequenceId: 1,
  width: 1,
  height: 1,
  average: 1,
  topK: 1,
  resume: 1,
  maxFrames: 1,
  maxBytes: 1,
  timeout: 1,
  retryTimeout: 1,
  signal: 1,
}

/** @throws TrecvitError naming the option. The server checks those that it gets. */
export function checkStreamOptions(options: RemoteStreamOptions): void {
  checkOptions('openStream', options, NAMES)
  const { sequenceId } = options
  if (typeof sequenceId !== 'string' || sequenceId === '')
    throw new TrecvitError(`"sequenceId" expected a name like 'cam-7', got ${String(sequenceId)}`)
  for (const name of ['maxFrames', 'maxBytes', 'timeout', 'retryTimeout'] as const) {
    const value = options[name] ?? 1
    if (!(value >= 1)) throw new TrecvitError(`"${name}" expected a number from 1, got ${value}`)
  }
}

/** Returns how many frames and bytes a stream keeps until they are saved, as integers. */
export function roomOf({ maxFrames = 8192, maxBytes = 2 ** 26 }: RemoteStreamOptions): {
  frames: number
  bytes: number
} {
  const whole = (most: number): number => Math.min(Math.floor(most), Number.MAX_SAFE_INTEGER)
  return { frames: whole(maxFrames), bytes: whole(maxBytes) }
}
