/**
 * The columns of two or three tensors, one after the other:
 *
 *     out[i] = [a[i], b[i], c[i]]
 *
 * Shapes: a [rows, na], b [rows, nb], c [rows, nc], out [rows, na + nb + nc], each with a row
 * stride. Without c, nc is 0.
 *
 * A unit of work is a row.
 */
import { ConcatenateArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'

export function concatenate(args: ConcatenateArgs, begin: i32, end: i32): void {
  const na = (<usize>args.na) << 2
  const nb = (<usize>args.nb) << 2
  const nc = (<usize>args.nc) << 2
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    memory.copy(out, rowAt(args.a, args.aStride, args.aFrame, args.frameRows, row), na)
    memory.copy(out + na, rowAt(args.b, args.bStride, args.bFrame, args.frameRows, row), nb)
    if (nc)
      memory.copy(out + na + nb, rowAt(args.c, args.cStride, args.cFrame, args.frameRows, row), nc)
  }
}
