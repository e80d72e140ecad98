/**
 * Real-gated linear recurrent unit, over time, with an output gate y:
 *
 *     γ = sigmoid(gates[.., q, 0, :])    input gate
 *     ρ = sigmoid(gates[.., q, 1, :])    recurrence gate
 *     a = exp(decay ⊙ ρ)                 decay = −8·softplus(a_param)
 *     s[t] = a ⊙ s[t−1] + √(1 − a²) ⊙ γ ⊙ v[t]
 *     out[t] = s[t] ⊙ y[t]
 *
 * On the first frame after a reset, s = γ ⊙ v.
 *
 * Shapes: v, y and out [b, t, n, e]; gates [b, t, n, h, 2, e/h]; decay [e]. The state s [b, n, e]
 * is kept from chunk to chunk.
 *
 * Precision: with m = exp(decay·ρ) − 1, a = 1 + m and 1 − a² = −m·(2 + m). This keeps its digits
 * when a is close to 1.
 *
 * Passes: gates, v and y are read once. s stays in the L1 cache (6 KB for Base) over all frames of
 * a token. For each head there are three short loops: both gates, the recurrence, the output gate.
 * In one single loop each element would be a chain of 60 dependent operations, too long for the CPU
 * to overlap with the next element. The loops take two vectors at a time, which V8 merges in the
 * wide builds.
 *
 * A unit of work is one token of one video.
 */
import { RgLruArgs } from '../build/operations'
import { expm1, first, sigmoid } from './lib/math'

/** @param scratch working memory of 2·e/h numbers */
export function rgLru(
  args: RgLruArgs,
  state: usize,
  scratch: usize,
  fresh: bool,
  begin: i32,
  end: i32,
): void {
  const width = (<usize>(args.e / args.heads)) << 2
  for (let unit = begin; unit < end; unit++) {
    const video = unit / args.n
    const token = unit % args.n
    for (let t = 0; t < args.t; t++) {
      const frame = video * args.t + t
      let gate =
        args.gates + ((<usize>frame * args.gatesFrame + <usize>token * args.gatesStride) << 2)
      let v = args.v + ((<usize>frame * args.vFrame + <usize>token * args.vStride) << 2)
      let y = args.y + ((<usize>frame * args.yFrame + <usize>token * args.yStride) << 2)
      let out = args.out + ((<usize>(frame * args.n + token) * args.outStride) << 2)
      let s = args.s + state + ((<usize>unit * args.e) << 2)
      let decay = args.decay
      for (let head = 0; head < args.heads; head++) {
        open(scratch, gate, v, width)
        open(scratch + width, gate + width, decay, width)
        if (fresh && t == 0) memory.copy(s, scratch, width)
        else recur(s, scratch, scratch + width, width)
        multiply(out, s, y, width)
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

/** out = sigmoid(gate) ⊙ x. */
function open(out: usize, gate: usize, x: usize, width: usize): void {
  const pairs = width & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const p0 = f32x4.mul(sigmoid(v128.load(gate + i)), v128.load(x + i)),
      p1 = f32x4.mul(sigmoid(v128.load(gate + i, 16)), v128.load(x + i, 16))
    ;(v128.store(out + i, p1, 16), v128.store(out + i, p0))
  }
  for (let i = pairs; i < width; i += 4)
    store<f32>(
      out + i,
      first(f32x4.mul(sigmoid(v128.load_splat<f32>(gate + i)), v128.load_splat<f32>(x + i))),
    )
}

/** s = a ⊙ s + √(1 − a²) ⊙ x, a = exp(logs). */
function recur(s: usize, x: usize, logs: usize, width: usize): void {
  const pairs = width & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const s0 = next(v128.load(s + i), v128.load(x + i), v128.load(logs + i)),
      s1 = next(v128.load(s + i, 16), v128.load(x + i, 16), v128.load(logs + i, 16))
    ;(v128.store(s + i, s1, 16), v128.store(s + i, s0))
  }
  for (let i = pairs; i < width; i += 4)
    store<f32>(
      s + i,
      first(
        next(
          v128.load_splat<f32>(s + i),
          v128.load_splat<f32>(x + i),
          v128.load_splat<f32>(logs + i),
        ),
      ),
    )
}

// @ts-ignore: decorator
@inline
function next(s: v128, x: v128, log: v128): v128 {
  const m = expm1(log)
  const a = f32x4.add(m, f32x4.splat(1))
  const rest = f32x4.sqrt(f32x4.mul(f32x4.neg(m), f32x4.add(m, f32x4.splat(2))))
  return f32x4.add(f32x4.mul(a, s), f32x4.mul(rest, x))
}

/** out = x ⊙ y. */
function multiply(out: usize, x: usize, y: usize, width: usize): void {
  const pairs = width & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const p0 = f32x4.mul(v128.load(x + i), v128.load(y + i)),
      p1 = f32x4.mul(v128.load(x + i, 16), v128.load(y + i, 16))
    ;(v128.store(out + i, p1, 16), v128.store(out + i, p0))
  }
  for (let i = pairs; i < width; i += 4) store<f32>(out + i, load<f32>(x + i) * load<f32>(y + i))
}
