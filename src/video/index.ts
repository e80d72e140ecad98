/**
 * Video input: frames from files, URLs, streams and pictures, and pixels of the model's size.
 * @module trecvit/video
 * @example
 * import { openVideo, toPixels } from 'trecvit/video'
 * for await (const frame of await openVideo('clip.mp4'))
 *   await stream.push({ data: toPixels(frame, { height: 224, width: 224 }), shape: [224, 224, 3] })
 */
export type {} from '../base/globals.ts'

export { type Camera, type CameraOptions, camera, screenCapture } from './browser/camera.ts'
export type { Live, LiveOptions } from './browser/live.ts'
export { fromTrack } from './browser/track.ts'
export type { ImageDataLike, Picture, VideoFrameLike } from './browser/types.ts'
export type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
export type { Colour, Frame, FrameFormat, Plane, Rotation } from './frame.ts'
export { type OpenOptions, openVideo } from './open.ts'
export { type PixelsShape, toPixels } from './pixels/pixels.ts'
export { type ReadOptions, readFrames } from './read.ts'
export { type SampleOptions, sample } from './sample.ts'
export type { Video, VideoInfo } from './video.ts'
