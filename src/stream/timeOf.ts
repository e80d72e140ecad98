import type { FrameLike } from './input.ts'

/** Returns the time of a frame in seconds; undefined if it has none. */
export function timeOf(frame: FrameLike): number | undefined {
  if ('time' in frame) return frame.time
  // The first is a VideoSample of mediabunny, the second a VideoFrame of WebCodecs.
  if ('microsecondTimestamp' in frame) return Number(frame.microsecondTimestamp) / 1e6
  return 'timestamp' in frame ? frame.timestamp / 1e6 : undefined
}
