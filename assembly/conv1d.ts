/**
 * Causal convolution over time, for each channel of each token:
 *
 *     out[t] = bias + Σ_{j=0..k−1} kernel[k−1−j] ⊙ x[t−j]
 *
 * Inputs before the chunk come from `past`.
 *
 * Shapes: x and out [b, t, n, e]; kernel [k, e], whose last row belongs to the current frame; bias
 * [e]. past [b, k−1, n, e], oldest first; afterwards it has the last k−1 inputs.
 *
 * Order: taps are added newest first, wherever a chunk begins. So results do not depend on how
 * frames are split into chunks. The row of sums (6 KB for Base) stays in the L1 cache from tap to
 * tap.
 *
 * A unit of work is one token of one video, over all its frames.
 */
import { Conv1dArgs } from '../build/operations'

export function conv1d(args: Conv1dArgs, state: usize, begin: i32, end: i32): void {
  const e = (<usize>args.e) << 2
  const history = args.k - 1
  for (let unit = begin; unit < end; unit++) {
    const video = unit / args.n
    const token = unit % args.n
    const past = args.past + state + <usize>(video * history * args.n + token) * e
    for (let t = 0; t < args.t; t++) {
      const out =
        args.out + ((<usize>((video * args.t + t) * args.n + token) * args.outStride) << 2)
      if (args.k == 4) {
        const x0 = inputAt(args, past, e, video, t, token),
          x1 = inputAt(args, past, e, video, t - 1, token)
        const x2 = inputAt(args, past, e, video, t - 2, token),
          x3 = inputAt(args, past, e, video, t - 3, token)
        if (t == args.t - 1)
          fourTaps(true, out, args.bias, args.kernel, x0, x1, x2, x3, past, <usize>args.n * e, e)
        else
          fourTaps(false, out, args.bias, args.kernel, x0, x1, x2, x3, past, <usize>args.n * e, e)
        continue
      }
      let sums = args.bias
      for (let j = 0; j < args.k; j++) {
        addTap(
          out,
          sums,
          args.kernel + <usize>(history - j) * e,
          inputAt(args, past, e, video, t - j, token),
          e,
        )
        sums = out
      }
    }
    if (args.k == 4) continue
    // The newest k−1 inputs become the past. A chunk with fewer inputs moves the older ones up.
    for (let slot = 0; slot < history; slot++) {
      memory.copy(
        past + <usize>(slot * args.n) * e,
        inputAt(args, past, e, video, args.t - history + slot, token),
        e,
      )
    }
  }
}

/**
 * Adds the four taps of TRecViT in one pass over e bytes.
 * @param keeps whether to store the newest three inputs as the past, `slot` bytes apart
 */
// @ts-ignore: decorator
@inline
function fourTaps(
  keeps: bool,
  out: usize,
  bias: usize,
  kernel: usize,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  past: usize,
  slot: usize,
  e: usize,
): void {
  const k1 = kernel + e,
    k2 = k1 + e,
    k3 = k2 + e
  const newer = past + slot,
    newest = newer + slot
  const pairs = e & ~31
  // Two vectors at a time, which V8 merges in the wide builds.
  for (let i: usize = 0; i < pairs; i += 32) {
    const a = x0 + i,
      b = x1 + i,
      c = x2 + i,
      d = x3 + i
    const a0 = v128.load(a),
      a1 = v128.load(a, 16),
      b0 = v128.load(b),
      b1 = v128.load(b, 16),
      c0 = v128.load(c),
      c1 = v128.load(c, 16)
    const start = bias + i,
      p = k3 + i,
      q = k2 + i,
      r = k1 + i,
      s = kernel + i
    let sum0 = f32x4.add(v128.load(start), f32x4.mul(v128.load(p), a0)),
      sum1 = f32x4.add(v128.load(start, 16), f32x4.mul(v128.load(p, 16), a1))
    ;((sum0 = f32x4.add(sum0, f32x4.mul(v128.load(q), b0))),
      (sum1 = f32x4.add(sum1, f32x4.mul(v128.load(q, 16), b1))))
    ;((sum0 = f32x4.add(sum0, f32x4.mul(v128.load(r), c0))),
      (sum1 = f32x4.add(sum1, f32x4.mul(v128.load(r, 16), c1))))
    ;((sum0 = f32x4.add(sum0, f32x4.mul(v128.load(s), v128.load(d)))),
      (sum1 = f32x4.add(sum1, f32x4.mul(v128.load(s, 16), v128.load(d, 16)))))
    const to = out + i
    ;(v128.store(to, sum1, 16), v128.store(to, sum0))
    if (keeps) {
      const f = past + i,
        g = newer + i,
        h = newest + i
      ;(v128.store(f, c1, 16), v128.store(f, c0))
      ;(v128.store(g, b1, 16), v128.store(g, b0))
      ;(v128.store(h, a1, 16), v128.store(h, a0))
    }
  }
  for (let i = pairs; i < e; i += 4) {
    const a = load<f32>(x0 + i),
      b = load<f32>(x1 + i),
      c = load<f32>(x2 + i)
    store<f32>(
      out + i,
      load<f32>(bias + i) +
        load<f32>(k3 + i) * a +
        load<f32>(k2 + i) * b +
        load<f32>(k1 + i) * c +
        load<f32>(kernel + i) * load<f32>(x3 + i),
    )
    if (keeps) (store<f32>(past + i, c), store<f32>(newer + i, b), store<f32>(newest + i, a))
  }
}

/** out = sums + kernel ⊙ x over e bytes. */
// @ts-ignore: decorator
@inline
function addTap(out: usize, sums: usize, kernel: usize, x: usize, e: usize): void {
  const vectors = e & ~15
  for (let i: usize = 0; i < vectors; i += 16)
    v128.store(
      out + i,
      f32x4.add(v128.load(sums + i), f32x4.mul(v128.load(kernel + i), v128.load(x + i))),
    )
  for (let i = vectors; i < e; i += 4)
    store<f32>(out + i, load<f32>(sums + i) + load<f32>(kernel + i) * load<f32>(x + i))
}

/** Returns the address of the input at frame t of the chunk. Frames t < 0 are in the past. */
// @ts-ignore: decorator
@inline
function inputAt(args: Conv1dArgs, past: usize, e: usize, video: i32, t: i32, token: i32): usize {
  return t >= 0
    ? args.x + ((<usize>(video * args.t + t) * args.xFrame + <usize>token * args.xStride) << 2)
    : past + <usize>((args.k - 1 + t) * args.n) * e
}
