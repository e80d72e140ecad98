/**
 * Gradient of the mean over the first `pooled` of the tokens of each frame:
 *
 *     dx[f, i] = dy[f] / pooled for i < pooled, else 0
 *
 * Shapes: dy [frames, d], dx [frames, n, d].
 *
 * A unit of work is a frame.
 */
import { PoolGradientArgs } from '../../build/train/operations'

export function poolGradient(args: PoolGradientArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const vectors = bytes & ~15
  const count = <f32>args.pooled
  const counts = f32x4.splat(count)
  const stride = (<usize>args.dxStride) << 2
  for (let frame = begin; frame < end; frame++) {
    const dy = args.dy + ((<usize>frame * args.dyFrame) << 2)
    const dx = args.dx + <usize>(frame * args.n) * stride
    for (let i: usize = 0; i < vectors; i += 16)
      v128.store(dx + i, f32x4.div(v128.load(dy + i), counts))
    for (let i = vectors; i < bytes; i += 4) store<f32>(dx + i, load<f32>(dy + i) / count)
    for (let token = 1; token < args.n; token++) {
      const row = dx + <usize>token * stride
      if (token < args.pooled) memory.copy(row, dx, bytes)
      else memory.fill(row, 0, bytes)
    }
  }
}
