/**
 * Video input: frames from files, URLs, streams and pictures, and pixels of the model's size.
 * @module
 * @example
 * import { openVideo, toPixels } from 'trecvit/video'
 * for await (const frame of await openVideo('clip.mp4'))
 *   await stream.push({ data: toPixels(frame, { height: 224, width: 224 }), shape: [224, 224, 3] })
 */
export type {} from '../base/globals.ts'

export type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
export type { Colour, Frame, FrameFormat, Plane, Rotation } from './frame.ts'
export { type OpenOptions, openVideo } from './open.ts'
export { type PixelsShape, toPixels } from './pixels/pixels.ts'
export { type SampleOptions, sample } from './sample.ts'
export type { Video, VideoInfo } from './video.ts'
