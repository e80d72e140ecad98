/**
 * Video input: frames from files, addresses, streams and pictures, and the pixels that a model
 * takes.
 */
export type {} from '../base/globals.ts'

export type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
export type { Colour, Frame, FrameFormat, Plane, Rotation } from './frame.ts'
export { type OpenOptions, openVideo } from './open.ts'
export { type PixelsShape, toPixels } from './pixels/pixels.ts'
export { type SampleOptions, sample } from './sample.ts'
export type { Video, VideoInfo } from './video.ts'
