/**
 * Gradient of the mean over all frames of a clip so far (assembly/average.ts):
 *
 *     dx[s] = Σ_{t≥s} dy[t] / (t + 1)
 *
 * Shapes: dy and dx [b, t, c]. The chunk is the first of its clip. Frames are added from the last
 * to the first.
 *
 * A unit of work is one video.
 */
import { AverageGradientArgs } from '../../build/train/operations'

export function averageGradient(args: AverageGradientArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.c) << 2
  for (let video = begin; video < end; video++) {
    for (let t = args.t - 1; t >= 0; t--) {
      const row = <usize>(video * args.t + t)
      const dy = args.dy + ((row * args.dyFrame) << 2)
      const dx = args.dx + ((row * args.dxStride) << 2)
      const later = t + 1 < args.t ? dx + ((<usize>args.dxStride) << 2) : 0
      const count = <f32>(t + 1)
      for (let i: usize = 0; i < bytes; i += 4)
        store<f32>(dx + i, load<f32>(dy + i) / count + (later ? load<f32>(later + i) : 0))
    }
  }
}
