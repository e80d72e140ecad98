/** What the page and its worker say to each other. */
import type { Class, Device } from 'trecvit'

/** Frames that the label stands for. Before as many were seen there is no label. */
export const WINDOW = 8

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

/** Where a model comes from, and names for its classes. */
export type Origin = { readonly labels: readonly string[] | null } & (
  | { readonly kind: 'builtin' }
  | { readonly kind: 'file'; readonly file: File }
  /** From the server of this page, or by name if `url` is null. */
  | { readonly kind: 'kinetics'; readonly url: string | null }
)

/** Where the weights of Kinetics-400 are to be had. */
export interface Offer {
  readonly where: 'browser' | 'server' | 'host'
  readonly bytes: number
  /** On the server of this page, else null. */
  readonly url: string | null
}

export type Request =
  | { readonly type: 'settings'; readonly settings: Settings }
  /** With `keep` a file stays in the browser's storage. */
  | { readonly type: 'model'; readonly origin: Origin; readonly keep: boolean }
  /** Names of the classes of the model that is there. */
  | { readonly type: 'labels'; readonly labels: readonly string[] }
  /** The model that was kept is wanted again, or no more; what loads is not wanted. */
  | { readonly type: 'recall' | 'forget' | 'cancel' }
  /** Where Kinetics-400 is, and how fast it would run; or it is to go from this browser. */
  | { readonly type: 'offer' | 'remove' }
  /** A file, of which frames are taken `rate` times a second; 0 is as often as it has some. */
  | {
      readonly type: 'open'
      readonly file: Blob
      readonly name: string
      readonly rate: number
    }
  /** From now on pictures come from the page. */
  | { readonly type: 'live' }
  | { readonly type: 'picture'; readonly bitmap: ImageBitmap; readonly time: number }
  | { readonly type: 'play' | 'pause' | 'step' | 'reset' | 'lose' | 'profile' }
  /** To a time in seconds. Frames that no snapshot covers are computed on the way. */
  | { readonly type: 'seek'; readonly time: number }
  | { readonly type: 'look'; readonly look: Look | null }

export type Reply =
  | {
      readonly type: 'device'
      readonly device: Device
      readonly dtype: string
      readonly canLose: boolean
    }
  /** The settings that hold: others were refused. */
  | { readonly type: 'settings'; readonly settings: Settings }
  | {
      readonly type: 'model'
      readonly kind: Origin['kind']
      /** Of its file, or null. */
      readonly name: string | null
      readonly about: string
      readonly labels: readonly string[] | null
      readonly classes: number
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
  | { readonly type: 'offer'; readonly offer: Offer }
  /** Frames a second that Kinetics-400 would have here; null if it cannot be told. */
  | { readonly type: 'estimate'; readonly rate: number | null }
  /** Kinetics-400 could not be loaded. */
  | { readonly type: 'refused'; readonly text: string }
  | {
      readonly type: 'opened'
      readonly name: string
      readonly duration: number | null
      readonly width: number
      readonly height: number
      readonly about: string
    }
  | {
      readonly type: 'answer'
      readonly frame: number
      /** Seconds of the video. */
      readonly time: number
      /** The mean over the last frames. */
      readonly top: readonly Class[]
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
