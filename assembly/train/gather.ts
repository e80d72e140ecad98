/**
 * Copies the rows of each frame that an index lists:
 *
 *     out[b, t, i] = x[b, t, index[b, i]]
 *
 * Shapes: x [b, t, n, d]; index [b, v]; out [b, t, v, d].
 *
 * A unit of work is a row of out.
 */
import { GatherArgs } from '../../build/train/operations'
import { indexAt } from './lib/indices'

export function gather(args: GatherArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  for (let row = begin; row < end; row++) {
    const frame = row / args.v
    const token = indexAt(args.index, (frame / args.t) * args.indexStride + (row % args.v), args.n)
    const place = <usize>frame * args.xFrame + <usize>token * args.xStride
    memory.copy(args.out + ((<usize>row * args.outStride) << 2), args.x + (place << 2), bytes)
  }
}
