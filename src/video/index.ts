/**
 * Video input: frames from files, addresses, streams and pictures, and the pixels that a model takes.
 */
export type {} from '../globals.ts'

export type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
export type { Colour, Frame, FrameFormat, Plane, Rotation } from './frame.ts'
export { openVideo, type OpenOptions } from './open.ts'
export { toPixels, type PixelsShape } from './pixels.ts'
export { sample, type SampleOptions } from './sample.ts'
export type { Video, VideoInfo } from './video.ts'
