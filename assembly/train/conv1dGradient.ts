/**
 * Gradients of conv1d (assembly/conv1d.ts), for each channel of each token:
 *
 *     dx[s]          = Σ_j kernel[k−1−j] ⊙ dy[s+j]        0 ≤ s + j < t, j < k
 *     dkernel[k−1−j] = Σ_s x[s] ⊙ dy[s+j]                 over the tokens of a part
 *
 * Inputs x[s] with s < 0 are in `past`, and their gradients go to `dpast`. `dnext` is the gradient
 * of the last k−1 inputs, which come from the chunk or, if it is short, from the past.
 *
 * Shapes: x, dy and dx [b, t, n, e]; kernel [k, e], whose last row belongs to the current frame;
 * past, dpast and dnext [b, k−1, n, e], oldest first; dkernel [parts, k, e].
 *
 * Passes: both gradients take the same pairs of s and j, so one loop makes both.
 *
 * A unit of work is a part of `part` tokens, over all their frames. Sums do not depend on threads.
 */
import { Conv1dGradientArgs } from '../../build/train/operations'
import { madd } from '../lib/math'

export function conv1dGradient(args: Conv1dGradientArgs, begin: i32, end: i32): void {
  const e = (<usize>args.e) << 2
  const history = args.k - 1
  for (let part = begin; part < end; part++) {
    const dkernel = args.dkernel + ((<usize>part * args.dkernelStride) << 2)
    memory.fill(dkernel, 0, <usize>args.k * e)
    const to = min((part + 1) * args.part, args.sequences)
    for (let unit = part * args.part; unit < to; unit++) {
      const video = unit / args.n
      const token = unit % args.n
      for (let s = -history; s < args.t; s++) {
        const out = outputAt(args, video, token, s)
        const slot = s - (args.t - history)
        if (args.dnext && slot >= 0) {
          const row = <usize>(video * history + slot) * args.dnextFrame
          const dnext = args.dnext + ((row + <usize>token * args.dnextStride) << 2)
          memory.copy(out, dnext, e)
        } else memory.fill(out, 0, e)
        const x = inputAt(args, video, token, s)
        const last = min(history, args.t - 1 - s)
        for (let j = max(0, -s); j <= last; j++) {
          const row = <usize>(video * args.t + s + j) * args.dyFrame
          const dy = args.dy + ((row + <usize>token * args.dyStride) << 2)
          const tap = <usize>(history - j) * e
          if (x) addTap(true, out, dkernel + tap, args.kernel + tap, x, dy, e)
          else addTap(false, out, dkernel + tap, args.kernel + tap, x, dy, e)
        }
      }
    }
  }
}

/** Address of x[s]; 0 if it is in a past that is missing. */
// @ts-ignore: decorator
@inline
function inputAt(args: Conv1dGradientArgs, video: i32, token: i32, s: i32): usize {
  if (s >= 0) {
    const row = <usize>(video * args.t + s) * args.xFrame
    return args.x + ((row + <usize>token * args.xStride) << 2)
  }
  if (!args.past) return 0
  const row = <usize>(video * (args.k - 1) + args.k - 1 + s) * args.pastFrame
  return args.past + ((row + <usize>token * args.pastStride) << 2)
}

/** Address of dx[s]. */
// @ts-ignore: decorator
@inline
function outputAt(args: Conv1dGradientArgs, video: i32, token: i32, s: i32): usize {
  if (s >= 0) {
    const row = <usize>((video * args.t + s) * args.n + token)
    return args.dx + ((row * args.dxStride) << 2)
  }
  const row = <usize>((video * (args.k - 1) + args.k - 1 + s) * args.n + token)
  return args.dpast + ((row * args.dpastStride) << 2)
}

/** dx += kernel ⊙ dy and, if there is an x, dkernel += x ⊙ dy, over e bytes. */
// @ts-ignore: decorator
@inline
function addTap(
  hasInput: bool,
  dx: usize,
  dkernel: usize,
  kernel: usize,
  x: usize,
  dy: usize,
  e: usize,
): void {
  const pairs = e & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const g0 = v128.load(dy + i),
      g1 = v128.load(dy + i, 16)
    const x0 = madd(v128.load(kernel + i), g0, v128.load(dx + i)),
      x1 = madd(v128.load(kernel + i, 16), g1, v128.load(dx + i, 16))
    ;(v128.store(dx + i, x1, 16), v128.store(dx + i, x0))
    if (hasInput) {
      const k0 = madd(v128.load(x + i), g0, v128.load(dkernel + i)),
        k1 = madd(v128.load(x + i, 16), g1, v128.load(dkernel + i, 16))
      ;(v128.store(dkernel + i, k1, 16), v128.store(dkernel + i, k0))
    }
  }
  for (let i = pairs; i < e; i += 4) {
    const g = load<f32>(dy + i)
    store<f32>(dx + i, load<f32>(dx + i) + load<f32>(kernel + i) * g)
    if (hasInput) store<f32>(dkernel + i, load<f32>(dkernel + i) + load<f32>(x + i) * g)
  }
}
