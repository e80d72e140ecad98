/**
 * The sum of all frames of x, token by token:
 *
 *     out[i, j] = Σ_f x[f, i, j]
 *
 * Shapes: x [frames, n, d]; out [n, d].
 *
 * Precision: frames are summed in blocks of 64, then the sums of the blocks, as in sumRows.
 *
 * A unit of work is a token.
 */
import { SumFramesArgs } from '../../build/train/operations'

/** Frames of a block. */
const BLOCK: i32 = 64

export function sumFrames(args: SumFramesArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const whole = bytes & ~31
  for (let token = begin; token < end; token++) {
    const out = args.out + ((<usize>token * args.outStride) << 2)
    const x = args.x + ((<usize>token * args.xStride) << 2)
    let i: usize = 0
    for (; i < whole; i += 32) sumStrip(args, out + i, x + i)
    for (; i < bytes; i += 4) sumColumn(args, out + i, x + i)
  }
}

/** Sums eight columns of a token. */
function sumStrip(args: SumFramesArgs, out: usize, x: usize): void {
  const next = (<usize>args.xFrame) << 2
  const zero = f32x4.splat(0)
  let t0 = zero,
    t1 = zero
  for (let from = 0; from < args.frames; from += BLOCK) {
    let s0 = zero,
      s1 = zero
    for (let left = min(BLOCK, args.frames - from); left > 0; left--) {
      s0 = f32x4.add(s0, v128.load(x))
      s1 = f32x4.add(s1, v128.load(x, 16))
      x += next
    }
    t0 = f32x4.add(t0, s0)
    t1 = f32x4.add(t1, s1)
  }
  ;(v128.store(out, t1, 16), v128.store(out, t0))
}

function sumColumn(args: SumFramesArgs, out: usize, x: usize): void {
  let total: f32 = 0
  for (let from = 0; from < args.frames; from += BLOCK) {
    let sum: f32 = 0
    for (let left = min(BLOCK, args.frames - from); left > 0; left--) {
      sum += load<f32>(x)
      x += (<usize>args.xFrame) << 2
    }
    total += sum
  }
  store<f32>(out, total)
}
