/** Messages between the page and its worker. */
import type { Frame } from 'trecvit/video'

/** Number of actions that can be taught. */
export const FEWEST = 2
export const MOST = 10

/** Length of a recording by camera, and of a correction, in seconds. */
export const RECORDING = 4
export const CORRECTION = 2

/** Longest name of an action. */
export const LONGEST_NAME = 40

/** A recording, as the page shows it. */
export interface RecordingView {
  readonly id: number
  readonly seconds: number
  /** A picture from its middle. */
  readonly picture: Blob
}

/** An action, as the page shows it. */
export interface ActionView {
  readonly id: number
  /** May be empty. */
  readonly name: string
  /** The name, or one made of its position. */
  readonly label: string
  readonly recordings: readonly RecordingView[]
}

/** A learnt head, as the page shows it. */
export interface LearntView {
  /** Actions that it tells apart, by id, in the order of its probabilities. */
  readonly actions: readonly number[]
  /** Clips that were held out of training, and how many of them are recognised. */
  readonly heldOut: number
  readonly right: number
  /** The action that is most often taken for another one, and that other one, by id. */
  readonly confused: readonly [number, number] | null
}

export type Request =
  | { readonly type: 'addAction' }
  | { readonly type: 'rename'; readonly action: number; readonly name: string }
  | { readonly type: 'removeAction'; readonly action: number }
  | { readonly type: 'removeRecording'; readonly action: number; readonly recording: number }
  /** Reads clips as recordings of an action. */
  | { readonly type: 'clips'; readonly action: number; readonly files: readonly File[] }
  /** From now on the page sends frames of a camera, or no longer. */
  | { readonly type: 'live'; readonly on: boolean }
  | { readonly type: 'frame'; readonly frame: Frame }
  /** Records the next seconds of the camera; null cancels it. */
  | { readonly type: 'record'; readonly action: number | null }
  /** Adds the last seconds to the recordings of the right action. */
  | { readonly type: 'correct'; readonly action: number }
  | { readonly type: 'learn' }
  /** Plays a clip and recognises it. */
  | { readonly type: 'play'; readonly file: File }
  /** Uses another encoder; null is the built-in one. The recordings are removed. */
  | { readonly type: 'encoder'; readonly file: File | null }
  | { readonly type: 'download' }
  /** Removes everything. */
  | { readonly type: 'forget' }

export type Reply =
  | {
      readonly type: 'encoder'
      /** Name of its file; null for the built-in one. */
      readonly name: string | null
      readonly about: string
      /** Frames per second that it can encode here. */
      readonly rate: number
    }
  | { readonly type: 'loading'; readonly name: string; readonly share: number | null }
  | {
      readonly type: 'lesson'
      readonly actions: readonly ActionView[]
      readonly learnt: LearntView | null
    }
  /** A frame with the probabilities of the learnt actions, or null before a full window. */
  | {
      readonly type: 'frame'
      /** The picture. The page closes it. */
      readonly bitmap: ImageBitmap
      readonly from: 'camera' | 'clip'
      readonly probs: Float32Array | null
    }
  /** Progress of a recording from 0 to 1; null if it was cancelled. */
  | { readonly type: 'recording'; readonly action: number; readonly done: number | null }
  /** A clip that is read: seconds so far, and its length. `name` is null when all are read. */
  | {
      readonly type: 'reading'
      readonly action: number
      readonly name: string | null
      readonly seconds: number
      readonly duration: number | null
    }
  | {
      readonly type: 'learning'
      readonly epoch: number
      readonly epochs: number
      readonly loss: number
      /** Share of the held-out clips that are recognised; null without any. */
      readonly accuracy: number | null
    }
  /** Learning has ended; null if it was cancelled or has failed. */
  | { readonly type: 'learned'; readonly seconds: number | null }
  | { readonly type: 'file'; readonly name: string; readonly file: Blob }
  | { readonly type: 'note' | 'error'; readonly text: string }
