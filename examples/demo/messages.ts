/** What the page and its worker say to each other. */
import type { Class, Device } from 'trecvit'

/** How the engine is set. */
export interface Settings {
  readonly device: 'auto' | 'webgpu' | 'wasm'
  /** '' is what the file holds. */
  readonly dtype: '' | 'f32' | 'f16' | 'int8'
  /** 0 is as many as there are. */
  readonly threads: number
  readonly deterministic: boolean
}

export type Request =
  | { readonly type: 'settings'; readonly settings: Settings }
  /** A file, of which frames are taken `rate` times a second; 0 is as often as the video has some. */
  | { readonly type: 'open'; readonly file: Blob; readonly rate: number }
  /** From now on pictures come from the page. */
  | { readonly type: 'live' }
  | { readonly type: 'picture'; readonly bitmap: ImageBitmap; readonly time: number }
  | { readonly type: 'play' | 'pause' | 'step' | 'reset' | 'lose' }
  /** Seconds: the stream is computed anew up to there. */
  | { readonly type: 'seek'; readonly time: number }

export type Reply =
  | { readonly type: 'device'; readonly device: Device; readonly dtype: string; readonly canLose: boolean }
  | { readonly type: 'opened'; readonly duration: number | null; readonly fps: number | null; readonly about: string }
  | {
    readonly type: 'answer'
    readonly frame: number
    /** Seconds of the video. */
    readonly time: number
    /** The mean over the last eight frames, and over all since the reset. */
    readonly top: readonly Class[]
    readonly overall: readonly Class[]
    readonly milliseconds: number
    readonly bitmap: ImageBitmap | null
  }
  | { readonly type: 'cleared' }
  | { readonly type: 'playing'; readonly playing: boolean }
  | { readonly type: 'ended'; readonly overall: readonly Class[]; readonly frames: number }
  | { readonly type: 'note' | 'error'; readonly text: string }
