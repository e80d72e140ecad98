/**
 * Gradient of a in decay = −8·softplus(a):
 *
 *     out[i] = −8·σ(a[i])·ddecay[i]
 *
 * Shapes: ddecay and out [1, e]; a [e].
 *
 * There is one unit of work: e is small.
 */
import { DecayGradientArgs } from '../../build/train/operations'
import { first, sigmoid } from '../lib/math'

export function decayGradient(args: DecayGradientArgs, begin: i32, end: i32): void {
  if (begin >= end) return
  const bytes = (<usize>args.e) << 2
  const vectors = bytes & ~15
  const factor = f32x4.splat(-8)
  let i: usize = 0
  for (; i < vectors; i += 16) {
    const slope = f32x4.mul(factor, sigmoid(v128.load(args.a + i)))
    v128.store(args.out + i, f32x4.mul(slope, v128.load(args.ddecay + i)))
  }
  for (; i < bytes; i += 4) {
    const slope = first(f32x4.mul(factor, sigmoid(v128.load_splat<f32>(args.a + i))))
    store<f32>(args.out + i, slope * load<f32>(args.ddecay + i))
  }
}
