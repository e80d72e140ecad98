/**
 * Gradients of rgLru (assembly/rgLru.ts). With γ = sigmoid(p), ρ = sigmoid(q), λ = decay ⊙ ρ,
 * a = exp(λ) and ω = 1 − a², from the last frame to the first:
 *
 *     δ[t]  = dout[t] ⊙ y[t] + a[t+1] ⊙ δ[t+1]        after the last frame: carried ds
 *     dy[t] = dout[t] ⊙ s[t]
 *     dv[t] = δ ⊙ √ω ⊙ γ
 *     dp[t] = δ ⊙ √ω ⊙ v ⊙ γ ⊙ (1 − γ)
 *     dλ[t] = δ ⊙ (s[t−1] ⊙ a − γ ⊙ v ⊙ a² / √max(ω, ω₀)),   ω₀ = 1/(4·1000²)
 *     dq[t] = dλ ⊙ decay ⊙ ρ ⊙ (1 − ρ)
 *     ddecay = Σ_t dλ ⊙ ρ
 *     ds     = a[0] ⊙ δ[0]
 *
 * ω₀ bounds the derivative of √ω by 1000, as in the official code. On the first frame of a clip
 * s = γ ⊙ v, so dv = δ ⊙ γ, dp = δ ⊙ v ⊙ γ ⊙ (1 − γ), and dq, ds and dλ are 0.
 *
 * Shapes: v, y and dout [b, t, n, e]; gates [b, t, n, h, 2, e/h]; decay [e]; carried [b, n, 2·e],
 * the state before the chunk, then the gradient of the state after it. dinputs [b, t, n, 4·e] has
 * the columns dgates, dv, dy; dcarried [b, n, 2·e] has ds, ddecay.
 *
 * Precision: with m = a − 1 from expm1, ω = −m·(2 + m), which keeps its digits when a is close to
 * 1. a comes from exp, which keeps its digits when a is close to 0; so does 1 − γ.
 *
 * Passes: the first computes the states again and keeps them in the columns of dv. The second
 * reads s[t] and s[t−1] there before it writes dv[t]. δ and ddecay stay in the L1 cache.
 *
 * A unit of work is one token of one video.
 */
import { RgLruGradientArgs } from '../../build/train/operations'
import { exp, expm1, first, sigmoid } from '../lib/math'

/** @param scratch working memory of 5·e/h numbers: both gates, their derivatives, zeros */
export function rgLruGradient(args: RgLruGradientArgs, scratch: usize, begin: i32, end: i32): void {
  const e = (<usize>args.e) << 2
  const width = (<usize>(args.e / args.heads)) << 2
  const zeros = scratch + 4 * width
  memory.fill(zeros, 0, width)
  for (let unit = begin; unit < end; unit++) {
    const carried = args.carried ? args.carried + ((<usize>unit * args.carriedStride) << 2) : 0
    const ds = args.dcarried + ((<usize>unit * args.dcarriedStride) << 2)
    if (carried) memory.copy(ds, carried + e, e)
    else memory.fill(ds, 0, e)
    memory.fill(ds + e, 0, e)
    for (let t = 0; t < args.t; t++) {
      for (let from: usize = 0; from < e; from += width)
        state(args, unit, t, from, width, before(args, carried, zeros, unit, t, from))
    }
    for (let t = args.t - 1; t >= 0; t--) {
      for (let from: usize = 0; from < e; from += width) {
        const gate = gateAt(args, unit, t, from)
        open(scratch, gate, width)
        open(scratch + 2 * width, gate + width, width)
        const previous = before(args, carried, zeros, unit, t, from)
        if (args.first && t == 0) back(true, args, unit, t, from, width, scratch, ds, previous)
        else back(false, args, unit, t, from, width, scratch, ds, previous)
      }
    }
  }
}

/** Address of row (frame t, token) of an input for a unit. */
// @ts-ignore: decorator
@inline
function inputAt(
  args: RgLruGradientArgs,
  x: usize,
  stride: i32,
  frame: i32,
  unit: i32,
  t: i32,
): usize {
  const place = <usize>((unit / args.n) * args.t + t) * frame + <usize>(unit % args.n) * stride
  return x + (place << 2)
}

// @ts-ignore: decorator
@inline
function gateAt(args: RgLruGradientArgs, unit: i32, t: i32, from: usize): usize {
  return inputAt(args, args.gates, args.gatesStride, args.gatesFrame, unit, t) + 2 * from
}

// @ts-ignore: decorator
@inline
function vAt(args: RgLruGradientArgs, unit: i32, t: i32, from: usize): usize {
  return inputAt(args, args.v, args.vStride, args.vFrame, unit, t) + from
}

/** Address of a row of dinputs. */
// @ts-ignore: decorator
@inline
function outputAt(args: RgLruGradientArgs, unit: i32, t: i32): usize {
  const row = <usize>(((unit / args.n) * args.t + t) * args.n + (unit % args.n))
  return args.dinputs + ((row * args.dinputsStride) << 2)
}

/** Address of columns of s[t], and later of dv[t]. */
// @ts-ignore: decorator
@inline
function stateAt(args: RgLruGradientArgs, unit: i32, t: i32, from: usize): usize {
  return outputAt(args, unit, t) + ((<usize>args.e) << 3) + from
}

/** Address of columns of s[t−1]. */
function before(
  args: RgLruGradientArgs,
  carried: usize,
  zeros: usize,
  unit: i32,
  t: i32,
  from: usize,
): usize {
  if (t > 0) return stateAt(args, unit, t - 1, from)
  return carried ? carried + from : zeros
}

// Loops take a vector at a time, then a number at a time: `whole` says which.

// @ts-ignore: decorator
@inline
function get(at: usize, whole: bool): v128 {
  return whole ? v128.load(at) : v128.load_splat<f32>(at)
}

// @ts-ignore: decorator
@inline
function put(at: usize, x: v128, whole: bool): void {
  if (whole) v128.store(at, x)
  else store<f32>(at, first(x))
}

/** s[t] = a ⊙ s[t−1] + √ω ⊙ γ ⊙ v; γ ⊙ v on the first frame of a clip. */
function state(
  args: RgLruGradientArgs,
  unit: i32,
  t: i32,
  from: usize,
  width: usize,
  previous: usize,
): void {
  const gate = gateAt(args, unit, t, from)
  const v = vAt(args, unit, t, from)
  const s = stateAt(args, unit, t, from)
  const decay = args.decay + from
  const fresh = args.first != 0 && t == 0
  const vectors = width & ~15
  for (let i: usize = 0; i < vectors; i += 16)
    stateOf(true, fresh, s + i, gate + i, gate + width + i, v + i, decay + i, previous + i)
  for (let i = vectors; i < width; i += 4)
    stateOf(false, fresh, s + i, gate + i, gate + width + i, v + i, decay + i, previous + i)
}

// @ts-ignore: decorator
@inline
function stateOf(
  whole: bool,
  fresh: bool,
  s: usize,
  p: usize,
  q: usize,
  v: usize,
  decay: usize,
  previous: usize,
): void {
  const x = f32x4.mul(sigmoid(get(p, whole)), get(v, whole))
  if (fresh) put(s, x, whole)
  else {
    const m = expm1(f32x4.mul(sigmoid(get(q, whole)), get(decay, whole)))
    const kept = f32x4.mul(f32x4.add(m, f32x4.splat(1)), get(previous, whole))
    put(s, f32x4.add(kept, f32x4.mul(f32x4.sqrt(rest(m)), x)), whole)
  }
}

/** ω = 1 − a² = −m·(2 + m) for m = a − 1. */
// @ts-ignore: decorator
@inline
function rest(m: v128): v128 {
  return f32x4.mul(f32x4.neg(m), f32x4.add(m, f32x4.splat(2)))
}

/** out[0, :] = sigmoid(gate), out[1, :] = its derivative. */
function open(out: usize, gate: usize, width: usize): void {
  const vectors = width & ~15
  for (let i: usize = 0; i < vectors; i += 16) openOf(true, out + i, out + width + i, gate + i)
  for (let i = vectors; i < width; i += 4) openOf(false, out + i, out + width + i, gate + i)
}

/** With z = exp(−|x|): sigmoid(|x|) = 1 / (1 + z), and 1 minus this is z / (1 + z). */
// @ts-ignore: decorator
@inline
function openOf(whole: bool, value: usize, slope: usize, gate: usize): void {
  const x = get(gate, whole)
  const one = f32x4.splat(1)
  const z = exp(f32x4.neg(f32x4.abs(x)))
  const large = f32x4.div(one, f32x4.add(one, z))
  const small = f32x4.mul(z, large)
  put(value, v128.bitselect(small, large, f32x4.lt(x, f32x4.splat(0))), whole)
  put(slope, f32x4.mul(small, large), whole)
}

/**
 * Frame t of the second pass, for one head.
 * @param gates γ, its derivative, ρ, its derivative
 * @param ds a[t+1] ⊙ δ[t+1], then ddecay
 */
// @ts-ignore: decorator
@inline
function back(
  fresh: bool,
  args: RgLruGradientArgs,
  unit: i32,
  t: i32,
  from: usize,
  width: usize,
  gates: usize,
  ds: usize,
  previous: usize,
): void {
  const dp = outputAt(args, unit, t) + 2 * from
  const dv = stateAt(args, unit, t, from)
  const v = vAt(args, unit, t, from)
  const y = inputAt(args, args.y, args.yStride, args.yFrame, unit, t) + from
  const dout = inputAt(args, args.dout, args.doutStride, args.doutFrame, unit, t) + from
  const decay = args.decay + from
  const e = (<usize>args.e) << 2
  ds += from
  for (let i: usize = 0; i < width;) {
    if (i + 16 <= width) {
      backOf(true, fresh, e, width, dp, dv, v, y, dout, decay, gates, ds, previous, i)
      i += 16
    } else {
      backOf(false, fresh, e, width, dp, dv, v, y, dout, decay, gates, ds, previous, i)
      i += 4
    }
  }
}

/** The columns i, i + 1, .. of `back`. dq is `width` bytes after dp, dy is `e` bytes after dv. */
// @ts-ignore: decorator
@inline
function backOf(
  whole: bool,
  fresh: bool,
  e: usize,
  width: usize,
  dp: usize,
  dv: usize,
  v: usize,
  y: usize,
  dout: usize,
  decay: usize,
  gates: usize,
  ds: usize,
  previous: usize,
  i: usize,
): void {
  const gradient = get(dout + i, whole)
  put(dv + e + i, f32x4.mul(gradient, get(dv + i, whole)), whole)
  const delta = f32x4.add(f32x4.mul(gradient, get(y + i, whole)), get(ds + i, whole))
  const gamma = get(gates + i, whole)
  const gammaSlope = get(gates + width + i, whole)
  const value = get(v + i, whole)
  if (fresh) {
    put(dv + i, f32x4.mul(delta, gamma), whole)
    put(dp + i, f32x4.mul(f32x4.mul(delta, value), gammaSlope), whole)
    put(dp + width + i, f32x4.splat(0), whole)
    put(ds + i, f32x4.splat(0), whole)
    return
  }
  const rho = get(gates + 2 * width + i, whole)
  const rhoSlope = get(gates + 3 * width + i, whole)
  const rate = get(decay + i, whole)
  const lambda = f32x4.mul(rho, rate)
  const a = exp(lambda)
  const omega = rest(expm1(lambda))
  const through = f32x4.mul(delta, f32x4.sqrt(omega))
  put(dv + i, f32x4.mul(through, gamma), whole)
  put(dp + i, f32x4.mul(f32x4.mul(through, value), gammaSlope), whole)
  const bounded = f32x4.sqrt(f32x4.pmax(omega, f32x4.splat(2.5e-7)))
  const fresher = f32x4.div(f32x4.mul(f32x4.mul(gamma, value), f32x4.mul(a, a)), bounded)
  const older = f32x4.mul(get(previous + i, whole), a)
  const dlambda = f32x4.mul(delta, f32x4.sub(older, fresher))
  put(dp + width + i, f32x4.mul(f32x4.mul(dlambda, rate), rhoSlope), whole)
  put(ds + e + i, f32x4.add(get(ds + e + i, whole), f32x4.mul(dlambda, rho)), whole)
  put(ds + i, f32x4.mul(a, delta), whole)
}
