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

/** What is laid over the picture. */
export interface Look {
  readonly view: 'attention' | 'decay'
  /** Layer, from 0. */
  readonly layer: number
  /** From 0; null is the mean of all. */
  readonly head: number | null
}

export type Request =
  | { readonly type: 'settings'; readonly settings: Settings }
  /**
   * A checkpoint, or null for the built-in model; with `keep` it stays in the browser's storage.
   */
  | {
      readonly type: 'model'
      readonly file: File | null
      readonly labels: readonly string[] | null
      readonly keep: boolean
    }
  /** Names of the classes of the model that is there. */
  | { readonly type: 'labels'; readonly labels: readonly string[] }
  /** The model that was kept is wanted again, or no more; what loads is not wanted. */
  | { readonly type: 'recall' | 'forget' | 'cancel' }
  /**
   * A file, of which frames are taken `rate` times a second; 0 is as often as the video has some.
   */
  | { readonly type: 'open'; readonly file: Blob; readonly rate: number }
  /** From now on pictures come from the page. */
  | { readonly type: 'live' }
  | { readonly type: 'picture'; readonly bitmap: ImageBitmap; readonly time: number }
  | { readonly type: 'play' | 'pause' | 'step' | 'reset' | 'lose' | 'profile' }
  /** Seconds: the stream is computed anew up to there. */
  | { readonly type: 'seek'; readonly time: number }
  | { readonly type: 'look'; readonly look: Look | null }

export type Reply =
  | {
      readonly type: 'device'
      readonly device: Device
      readonly dtype: string
      readonly canLose: boolean
    }
  | {
      readonly type: 'model'
      readonly name: string | null
      readonly about: string
      readonly layers: number
      readonly heads: number
    }
  /** Bytes of a model that loads; null when it is there, or will not be. */
  | {
      readonly type: 'loading'
      readonly progress: {
        readonly name: string
        readonly done: number
        readonly total: number
        readonly seconds: number
      } | null
    }
  | {
      readonly type: 'kept'
      readonly kept: { readonly name: string; readonly bytes: number } | null
    }
  | {
      readonly type: 'opened'
      readonly duration: number | null
      readonly fps: number | null
      readonly about: string
    }
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
  /**
   * A number for each patch, row by row; `size` is the model's input, which is cut out of the
   * middle of the picture.
   */
  | {
      readonly type: 'map'
      readonly values: Float32Array
      readonly grid: readonly [number, number]
      readonly size: readonly [number, number]
      readonly view: Look['view']
    }
  | {
      readonly type: 'profile'
      readonly ops: readonly { readonly op: string; readonly milliseconds: number }[]
    }
  | { readonly type: 'cleared' }
  | { readonly type: 'playing'; readonly playing: boolean }
  | { readonly type: 'ended'; readonly overall: readonly Class[]; readonly frames: number }
  | { readonly type: 'note' | 'error'; readonly text: string }
