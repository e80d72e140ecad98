/**
 * Mean over the tokens of each frame:
 *
 *     out[f] = Σ_i x[f, i] / n
 *
 * Shapes: x [frames, n, d], out [frames, d]. Rows are added in order into out, which stays in the
 * L1 cache.
 *
 * A unit of work is a frame.
 */
import { PoolArgs } from '../build/operations'

export function pool(args: PoolArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const vectors = bytes & ~15
  const count = <f32>args.n
  const counts = f32x4.splat(count)
  for (let frame = begin; frame < end; frame++) {
    const out = args.out + ((<usize>frame * args.outStride) << 2)
    memory.fill(out, 0, bytes)
    for (let token = 0; token < args.n; token++) {
      const x = args.x + ((<usize>frame * args.xFrame + <usize>token * args.xStride) << 2)
      for (let i: usize = 0; i < vectors; i += 16)
        v128.store(out + i, f32x4.add(v128.load(out + i), v128.load(x + i)))
      for (let i = vectors; i < bytes; i += 4)
        store<f32>(out + i, load<f32>(out + i) + load<f32>(x + i))
    }
    for (let i: usize = 0; i < vectors; i += 16)
      v128.store(out + i, f32x4.div(v128.load(out + i), counts))
    for (let i = vectors; i < bytes; i += 4) store<f32>(out + i, load<f32>(out + i) / count)
  }
}
