/**
 * Cross-entropy and its gradient. With targets q and their sum w, row by row:
 *
 *     loss = w · log Σ e^logits − Σ q · logits
 *     dlogits = w · softmax(logits) − q
 *
 * Shapes: logits, targets and dlogits [rows, c]; loss [rows, 1].
 *
 * Precision: the maximum is subtracted from the logits before their exponentials. The loss is a
 * difference of large terms, so it is summed in float64.
 *
 * A unit of work is a row.
 */
import { CrossEntropyArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'
import { exponentials } from '../lib/softmaxRow'

export function crossEntropy(args: CrossEntropyArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.c) << 2
  for (let row = begin; row < end; row++) {
    const logits = rowAt(args.logits, args.logitsStride, args.logitsFrame, args.frameRows, row)
    const q = rowAt(args.targets, args.targetsStride, args.targetsFrame, args.frameRows, row)
    const dlogits = args.dlogits + ((<usize>row * args.dlogitsStride) << 2)
    const sum = exponentials(dlogits, logits, args.c, 1)
    let largest = -Infinity
    let weight: f64 = 0
    let products: f64 = 0
    for (let i: usize = 0; i < bytes; i += 4) {
      const logit = <f64>load<f32>(logits + i)
      const target = <f64>load<f32>(q + i)
      largest = max(largest, logit)
      weight += target
      products += target * logit
    }
    const loss = weight * (Math.log(<f64>sum) + largest) - products
    store<f32>(args.loss + ((<usize>row * args.lossStride) << 2), <f32>loss)
    subtract(dlogits, q, <f32>weight / sum, bytes)
  }
}

/** dlogits = dlogits · factor − q. */
function subtract(dlogits: usize, q: usize, factor: f32, bytes: usize): void {
  const factors = f32x4.splat(factor)
  const pairs = bytes & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const a = f32x4.sub(f32x4.mul(v128.load(dlogits + i), factors), v128.load(q + i)),
      b = f32x4.sub(f32x4.mul(v128.load(dlogits + i, 16), factors), v128.load(q + i, 16))
    ;(v128.store(dlogits + i, b, 16), v128.store(dlogits + i, a))
  }
  for (let i = pairs; i < bytes; i += 4)
    store<f32>(dlogits + i, load<f32>(dlogits + i) * factor - load<f32>(q + i))
}
