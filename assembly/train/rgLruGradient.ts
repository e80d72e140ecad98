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
        computeState(args, unit, t, from, width, previousState(args, carried, zeros, unit, t, from))
    }
    for (let t = args.t - 1; t >= 0; t--) {
      for (let from: usize = 0; from < e; from += width) {
        const gate = gateAt(args, unit, t, from)
        gateValues(scratch, gate, width)
        gateValues(scratch + 2 * width, gate + width, width)
        const previous = previousState(args, carried, zeros, unit, t, from)
        if (args.first && t == 0) gradients(true, args, unit, t, from, width, scratch, ds, previous)
        else gradients(false, args, unit, t, from, width, scratch, ds, previous)
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
function previousState(
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

// Loops take a vector of four columns at a time (isVector), then single columns.

// @ts-ignore: decorator
@inline
function loadAt(at: usize, isVector: bool): v128 {
  return isVector ? v128.load(at) : v128.load_splat<f32>(at)
}

// @ts-ignore: decorator
@inline
function storeAt(at: usize, x: v128, isVector: bool): void {
  if (isVector) v128.store(at, x)
  else store<f32>(at, first(x))
}

/** s[t] = a ⊙ s[t−1] + √ω ⊙ γ ⊙ v; γ ⊙ v on the first frame of a clip. */
function computeState(
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
  const isFirst = args.first != 0 && t == 0
  const vectors = width & ~15
  for (let i: usize = 0; i < vectors; i += 16)
    computeStateOf(true, isFirst, s + i, gate + i, gate + width + i, v + i, decay + i, previous + i)
  for (let i = vectors; i < width; i += 4)
    computeStateOf(
      false,
      isFirst,
      s + i,
      gate + i,
      gate + width + i,
      v + i,
      decay + i,
      previous + i,
    )
}

// @ts-ignore: decorator
@inline
function computeStateOf(
  isVector: bool,
  isFirst: bool,
  s: usize,
  p: usize,
  q: usize,
  v: usize,
  decay: usize,
  previous: usize,
): void {
  const x = f32x4.mul(sigmoid(loadAt(p, isVector)), loadAt(v, isVector))
  if (isFirst) storeAt(s, x, isVector)
  else {
    const m = expm1(f32x4.mul(sigmoid(loadAt(q, isVector)), loadAt(decay, isVector)))
    const carriedOver = f32x4.mul(f32x4.add(m, f32x4.splat(1)), loadAt(previous, isVector))
    storeAt(s, f32x4.add(carriedOver, f32x4.mul(f32x4.sqrt(omegaOf(m)), x)), isVector)
  }
}

/** ω = 1 − a² = −m·(2 + m) for m = a − 1. */
// @ts-ignore: decorator
@inline
function omegaOf(m: v128): v128 {
  return f32x4.mul(f32x4.neg(m), f32x4.add(m, f32x4.splat(2)))
}

/** out[0, :] = sigmoid(gate), out[1, :] = its derivative. */
function gateValues(out: usize, gate: usize, width: usize): void {
  const vectors = width & ~15
  for (let i: usize = 0; i < vectors; i += 16) gateValueOf(true, out + i, out + width + i, gate + i)
  for (let i = vectors; i < width; i += 4) gateValueOf(false, out + i, out + width + i, gate + i)
}

/** With z = exp(−|x|): sigmoid(|x|) = 1 / (1 + z), and 1 − sigmoid(|x|) = z / (1 + z). */
// @ts-ignore: decorator
@inline
function gateValueOf(isVector: bool, value: usize, slope: usize, gate: usize): void {
  const x = loadAt(gate, isVector)
  const one = f32x4.splat(1)
  const z = exp(f32x4.neg(f32x4.abs(x)))
  const large = f32x4.div(one, f32x4.add(one, z))
  const small = f32x4.mul(z, large)
  storeAt(value, v128.bitselect(small, large, f32x4.lt(x, f32x4.splat(0))), isVector)
  storeAt(slope, f32x4.mul(small, large), isVector)
}

/**
 * Frame t of the second pass, for one head.
 * @param gates γ, its derivative, ρ, its derivative
 * @param ds a[t+1] ⊙ δ[t+1], then ddecay
 */
// @ts-ignore: decorator
@inline
function gradients(
  isFirst: bool,
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
      gradientsOf(true, isFirst, e, width, dp, dv, v, y, dout, decay, gates, ds, previous, i)
      i += 16
    } else {
      gradientsOf(false, isFirst, e, width, dp, dv, v, y, dout, decay, gates, ds, previous, i)
      i += 4
    }
  }
}

/** Columns from i on of `gradients`. dq is `width` bytes after dp, dy is `e` bytes after dv. */
// @ts-ignore: decorator
@inline
function gradientsOf(
  isVector: bool,
  isFirst: bool,
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
  const gradient = loadAt(dout + i, isVector)
  storeAt(dv + e + i, f32x4.mul(gradient, loadAt(dv + i, isVector)), isVector)
  const delta = f32x4.add(f32x4.mul(gradient, loadAt(y + i, isVector)), loadAt(ds + i, isVector))
  const gamma = loadAt(gates + i, isVector)
  const gammaSlope = loadAt(gates + width + i, isVector)
  const value = loadAt(v + i, isVector)
  if (isFirst) {
    storeAt(dv + i, f32x4.mul(delta, gamma), isVector)
    storeAt(dp + i, f32x4.mul(f32x4.mul(delta, value), gammaSlope), isVector)
    storeAt(dp + width + i, f32x4.splat(0), isVector)
    storeAt(ds + i, f32x4.splat(0), isVector)
    return
  }
  const rho = loadAt(gates + 2 * width + i, isVector)
  const rhoSlope = loadAt(gates + 3 * width + i, isVector)
  const rate = loadAt(decay + i, isVector)
  const lambda = f32x4.mul(rho, rate)
  const a = exp(lambda)
  const omega = omegaOf(expm1(lambda))
  const scaled = f32x4.mul(delta, f32x4.sqrt(omega))
  storeAt(dv + i, f32x4.mul(scaled, gamma), isVector)
  storeAt(dp + i, f32x4.mul(f32x4.mul(scaled, value), gammaSlope), isVector)
  const bounded = f32x4.sqrt(f32x4.pmax(omega, f32x4.splat(2.5e-7)))
  const fromInput = f32x4.div(f32x4.mul(f32x4.mul(gamma, value), f32x4.mul(a, a)), bounded)
  const fromState = f32x4.mul(loadAt(previous + i, isVector), a)
  const dlambda = f32x4.mul(delta, f32x4.sub(fromState, fromInput))
  storeAt(dp + width + i, f32x4.mul(f32x4.mul(dlambda, rate), rhoSlope), isVector)
  storeAt(ds + e + i, f32x4.add(loadAt(ds + e + i, isVector), f32x4.mul(dlambda, rho)), isVector)
  storeAt(ds + i, f32x4.mul(a, delta), isVector)
}
