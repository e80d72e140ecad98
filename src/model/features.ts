import type { NdArray } from '../base/array.ts'
import type { Stream, ToAnswer } from '../stream/stream.ts'
import { type Config, tokensOf } from './config.ts'

/** The features of a frame, given all frames before it. */
export interface FrameFeatures {
  /** Index of the frame since the reset, from 0. */
  readonly frame: number
  /** Encoded tokens [b, n, d] after the last norm; the class token, if there is one, is first. */
  readonly features: NdArray<Float32Array>
}

/**
 * A stream of features.
 * @interface
 */
export type FeatureStream = Stream<FrameFeatures>

/** Makes the features of a stream from its outputs. */
export function featureAnswers(config: Config): ToAnswer<FrameFeatures> {
  const [n, d] = [tokensOf(config), config.width]
  return ({ encoded }, frame) => {
    const data = encoded!
    return { frame, features: { data, shape: [data.length / (n * d), n, d] } }
  }
}
