import type { Line } from './connection.ts'

/** A class with its probability. */
export interface RemoteClass {
  /** Null if the model has no labels. */
  readonly label: string | null
  /** Index of the class. */
  readonly index: number
  /** Probability, 0 to 1. */
  readonly prob: number
}

/** The answer of a server after one frame. */
export interface RemoteAnswer extends RemoteClass {
  /** Number of the frame since the start of the stream, from 0. */
  readonly frame: number
  /** Whether there are fewer frames than the average asks for. */
  readonly partial: boolean
  /** The most probable classes. */
  readonly top: readonly RemoteClass[]
  /** Probabilities of all classes. */
  readonly probs: Float32Array
}

/** Returns the answer in a line of the server, or null if it is none. */
export function answerOf(line: Line): RemoteAnswer | null {
  const { frame, probs } = line
  if (!Number.isSafeInteger(frame) || !Array.isArray(probs)) return null
  return { ...(line as unknown as RemoteAnswer), probs: Float32Array.from(probs as number[]) }
}
