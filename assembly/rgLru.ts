/**
 * γ = sigmoid(gates[.., q, 0, :]), ρ = sigmoid(gates[.., q, 1, :]), a = exp(decay ⊙ ρ), decay = −8·softplus(a_param)
 * s[t] = a ⊙ s[t−1] + √(1 − a²) ⊙ γ ⊙ v[t], but s = γ ⊙ v on the first frame after a reset; out = s ⊙ y
 *
 * v, y, out [b, t, n, e]; gates [b, t, n, h, 2, e/h]; decay [e]; s [b, n, e], kept from chunk to chunk. With m = e^(decay·ρ) − 1,
 * a = 1 + m and 1 − a² = −m·(2 + m), which keeps its digits when a is near 1. One pass reads gates, v and y once and keeps s (6 KB for
 * Base) in the first-level cache over all frames of a token. A unit of work is one token of one video.
 */
import { expm1, first, sigmoid } from './lib/math'

@unmanaged
export class RgLruArgs {
  out: usize
  outStride: i32
  v: usize
  vStride: i32
  gates: usize
  gatesStride: i32
  y: usize
  yStride: i32
  decay: usize
  s: usize
  t: i32
  n: i32
  e: i32
  heads: i32
}

export function rgLru(args: RgLruArgs, state: usize, fresh: bool, begin: i32, end: i32): void {
  const width = <usize>(args.e / args.heads) << 2
  const vectors = width & ~15
  for (let unit = begin; unit < end; unit++) {
    const video = unit / args.n
    const token = unit % args.n
    for (let t = 0; t < args.t; t++) {
      const row = <usize>((video * args.t + t) * args.n + token)
      const reset = fresh && t == 0
      let gate = args.gates + (row * args.gatesStride << 2)
      let v = args.v + (row * args.vStride << 2)
      let y = args.y + (row * args.yStride << 2)
      let out = args.out + (row * args.outStride << 2)
      let s = args.s + state + (<usize>unit * args.e << 2)
      let decay = args.decay
      for (let head = 0; head < args.heads; head++) {
        for (let i: usize = 0; i < vectors; i += 16) {
          const h = next(v128.load(gate + i), v128.load(gate + width + i), v128.load(decay + i), v128.load(v + i), v128.load(s + i), reset)
          v128.store(s + i, h)
          v128.store(out + i, f32x4.mul(h, v128.load(y + i)))
        }
        for (let i = vectors; i < width; i += 4) {
          const h = first(next(v128.load_splat<f32>(gate + i), v128.load_splat<f32>(gate + width + i), v128.load_splat<f32>(decay + i), v128.load_splat<f32>(v + i), v128.load_splat<f32>(s + i), reset))
          store<f32>(s + i, h)
          store<f32>(out + i, h * load<f32>(y + i))
        }
        gate += width << 1
        v += width
        y += width
        out += width
        s += width
        decay += width
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function next(inputGate: v128, decayGate: v128, decay: v128, v: v128, s: v128, reset: bool): v128 {
  const gated = f32x4.mul(sigmoid(inputGate), v)
  if (reset) return gated
  const m = expm1(f32x4.mul(decay, sigmoid(decayGate)))
  const a = f32x4.add(m, f32x4.splat(1))
  const rest = f32x4.sqrt(f32x4.mul(f32x4.neg(m), f32x4.add(m, f32x4.splat(2))))
  return f32x4.add(f32x4.mul(a, s), f32x4.mul(rest, gated))
}
