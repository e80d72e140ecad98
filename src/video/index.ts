/**
 * Video input: frames from files, addresses, streams and pictures, and the pixels that a model takes.
 */
export type { DecoderChoice } from './container.ts'
export type { Colour, Frame, FrameFormat, Plane, Rotation } from './frame.ts'
export type { VideoSource } from './media.ts'
export { openVideo, type OpenOptions } from './open.ts'
export { toPixels, type PixelsShape } from './pixels.ts'
export type { RawFormat } from './raw.ts'
export { sample, type SampleOptions } from './sample.ts'
export type { Video, VideoInfo } from './video.ts'
