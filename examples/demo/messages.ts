/** Messages between the page and its worker. */
import type { Class, Device } from 'trecvit'
import type { Frame } from 'trecvit/video'

/** Frames that the label covers. There is no label before that. */
export const WINDOW = 8

/** Settings of the engine. */
export interface Settings {
  readonly device: 'auto' | 'webgpu' | 'wasm'
  /** '' means the format of the file. */
  readonly dtype: '' | 'f32' | 'f16' | 'int8'
  /** 0 means the default. */
  readonly threads: number
  readonly deterministic: boolean
}

/** The map over the picture. */
export interface Look {
  readonly view: 'attention' | 'decay'
  /** Layer, from 0. */
  readonly layer: number
  /** From 0; null is the mean over heads. */
  readonly head: number | null
}

/** Source of a model, and names for its classes. */
export type Origin = { readonly labels: readonly string[] | null } & (
  | { readonly kind: 'builtin' }
  | { readonly kind: 'file'; readonly file: File }
  /** `url` is on the server of this page. If it is null, the model is loaded by name. */
  | { readonly kind: 'kinetics'; readonly url: string | null }
)

/** Source of the weights of Kinetics-400. */
export interface Offer {
  readonly where: 'browser' | 'server' | 'host'
  readonly bytes: number
  /** URL on the server of this page, else null. */
  readonly url: string | null
}

export type Request =
  | { readonly type: 'settings'; readonly settings: Settings }
  /** `keep` stores a file in the browser. */
  | { readonly type: 'model'; readonly origin: Origin; readonly keep: boolean }
  /** Names for the classes of the current model. */
  | { readonly type: 'labels'; readonly labels: readonly string[] }
  /** Loads the stored model, deletes it, or cancels loading. */
  | { readonly type: 'recall' | 'forget' | 'cancel' }
  /** Asks for the source and speed of Kinetics-400, or deletes it from this browser. */
  | { readonly type: 'offer' | 'remove' }
  /** Opens a file. `rate` frames per second are sampled; 0 means all. */
  | {
      readonly type: 'open'
      readonly file: Blob
      readonly name: string
      readonly rate: number
    }
  /** From now on the page sends frames. The answer to one asks for the next. */
  | { readonly type: 'live' }
  | { readonly type: 'frame'; readonly frame: Frame }
  | { readonly type: 'play' | 'pause' | 'step' | 'reset' | 'lose' | 'profile' }
  /** Seeks to a time in seconds. Frames since the last snapshot before it are computed. */
  | { readonly type: 'seek'; readonly time: number }
  | { readonly type: 'look'; readonly look: Look | null }

export type Reply =
  | {
      readonly type: 'device'
      readonly device: Device
      readonly dtype: string
      readonly canLose: boolean
    }
  /** The settings in effect, if others were refused. */
  | { readonly type: 'settings'; readonly settings: Settings }
  | {
      readonly type: 'model'
      readonly kind: Origin['kind']
      /** Name of its file, or null. */
      readonly name: string | null
      readonly about: string
      readonly labels: readonly string[] | null
      readonly classes: number
      readonly layers: number
      readonly heads: number
    }
  /** Progress of loading in bytes; null when it has ended. */
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
  /** Estimated frames per second of Kinetics-400 here; null if unknown. */
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
      /** Time in the video, in seconds. */
      readonly time: number
      /** Mean over the last frames. */
      readonly top: readonly Class[]
      readonly milliseconds: number
      /** The picture. The page closes it. */
      readonly bitmap: ImageBitmap | null
    }
  /**
   * A map: a number for each patch, row by row. `size` is the model's input, which is cropped from
   * the middle of the picture.
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
