/**
 * out[t] = bias + Σ_{j=0..k−1} kernel[k−1−j] ⊙ x[t−j], channel by channel, for each token; x before the chunk comes from `past`.
 *
 * x, out [b, t, n, e]; past [b, k−1, n, e], oldest first, holds the last k−1 inputs afterwards; kernel [k, e], its last row meets the
 * current frame; bias [e]. Taps are added newest first, in the same order wherever a chunk begins; the row of sums (6 KB for Base) stays
 * in the first-level cache from tap to tap. A unit of work is one token of one video, over all its frames.
 */
@unmanaged
export class Conv1dArgs {
  out: usize
  outStride: i32
  x: usize
  xStride: i32
  kernel: usize
  bias: usize
  past: usize
  t: i32
  n: i32
  e: i32
  k: i32
}

export function conv1d(args: Conv1dArgs, state: usize, begin: i32, end: i32): void {
  const e = <usize>args.e << 2
  const history = args.k - 1
  for (let unit = begin; unit < end; unit++) {
    const video = unit / args.n
    const token = unit % args.n
    const past = args.past + state + <usize>(video * history * args.n + token) * e
    for (let t = 0; t < args.t; t++) {
      const out = args.out + (<usize>((video * args.t + t) * args.n + token) * args.outStride << 2)
      let sums = args.bias
      for (let j = 0; j < args.k; j++) {
        addTap(out, sums, args.kernel + <usize>(history - j) * e, inputAt(args, past, e, video, t - j, token), e)
        sums = out
      }
    }
    // The newest k−1 inputs become the past; when the chunk is shorter, the older ones move up.
    for (let slot = 0; slot < history; slot++) {
      memory.copy(past + <usize>(slot * args.n) * e, inputAt(args, past, e, video, args.t - history + slot, token), e)
    }
  }
}

/** out = sums + kernel ⊙ x over e bytes. */
// @ts-ignore: decorator
@inline
function addTap(out: usize, sums: usize, kernel: usize, x: usize, e: usize): void {
  const vectors = e & ~15
  for (let i: usize = 0; i < vectors; i += 16) v128.store(out + i, f32x4.add(v128.load(sums + i), f32x4.mul(v128.load(kernel + i), v128.load(x + i))))
  for (let i = vectors; i < e; i += 4) store<f32>(out + i, load<f32>(sums + i) + load<f32>(kernel + i) * load<f32>(x + i))
}

/** The input at frame t of the chunk, or for t < 0 that of the past. */
// @ts-ignore: decorator
@inline
function inputAt(args: Conv1dArgs, past: usize, e: usize, video: i32, t: i32, token: i32): usize {
  return t >= 0
    ? args.x + (<usize>((video * args.t + t) * args.n + token) * args.xStride << 2)
    : past + <usize>((args.k - 1 + t) * args.n) * e
}
