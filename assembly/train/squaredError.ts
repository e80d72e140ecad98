/**
 * Squared error and its gradient, row by row:
 *
 *     loss = weight · Σ (prediction − target)²
 *     dprediction = 2 · weight · (prediction − target)
 *
 * Shapes: prediction, target and dprediction [rows, n]; weight and loss [rows, 1].
 *
 * A unit of work is a row.
 */
import { SquaredErrorArgs } from '../../build/train/operations'
import { madd, sumOf } from '../lib/math'
import { rowAt } from '../lib/rows'

export function squaredError(args: SquaredErrorArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.n) << 2
  const frameRows = args.frameRows
  for (let row = begin; row < end; row++) {
    const y = rowAt(args.prediction, args.predictionStride, args.predictionFrame, frameRows, row)
    const target = rowAt(args.target, args.targetStride, args.targetFrame, frameRows, row)
    const weight = load<f32>(
      rowAt(args.weight, args.weightStride, args.weightFrame, frameRows, row),
    )
    const dy = args.dprediction + ((<usize>row * args.dpredictionStride) << 2)
    const loss = weight * errors(dy, y, target, 2 * weight, bytes)
    store<f32>(args.loss + ((<usize>row * args.lossStride) << 2), loss)
  }
}

/**
 * dy = factor · (y − target).
 * @returns Σ (y − target)²
 */
function errors(dy: usize, y: usize, target: usize, factor: f32, bytes: usize): f32 {
  const pairs = bytes & ~31
  const factors = f32x4.splat(factor)
  let s0 = f32x4.splat(0),
    s1 = s0
  for (let i: usize = 0; i < pairs; i += 32) {
    const e0 = f32x4.sub(v128.load(y + i), v128.load(target + i)),
      e1 = f32x4.sub(v128.load(y + i, 16), v128.load(target + i, 16))
    ;((s0 = madd(e0, e0, s0)), (s1 = madd(e1, e1, s1)))
    const d0 = f32x4.mul(factors, e0),
      d1 = f32x4.mul(factors, e1)
    ;(v128.store(dy + i, d1, 16), v128.store(dy + i, d0))
  }
  let sum = sumOf(f32x4.add(s0, s1))
  for (let i = pairs; i < bytes; i += 4) {
    const error = load<f32>(y + i) - load<f32>(target + i)
    sum += error * error
    store<f32>(dy + i, factor * error)
  }
  return sum
}
