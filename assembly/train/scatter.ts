/**
 * Copies rows to given positions of each frame. All other positions get the token:
 *
 *     out[b, t, index[b, i]] = x[b, t, i]
 *
 * Shapes: x [b, t, v, d]; index [b, v]; token [d]; out [b, t, n, d]. Without a token, the
 * other positions are 0.
 *
 * A unit of work is a frame.
 */
import { ScatterArgs } from '../../build/train/operations'
import { indexAt } from './lib/indices'

export function scatter(args: ScatterArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const stride = (<usize>args.outStride) << 2
  for (let frame = begin; frame < end; frame++) {
    const out = args.out + <usize>(frame * args.n) * stride
    const x = args.x + ((<usize>frame * args.xFrame) << 2)
    for (let token = 0; token < args.n; token++) {
      const row = out + <usize>token * stride
      if (args.token) memory.copy(row, args.token, bytes)
      else memory.fill(row, 0, bytes)
    }
    const first = (frame / args.t) * args.indexStride
    for (let i = 0; i < args.v; i++) {
      const row = out + <usize>indexAt(args.index, first + i, args.n) * stride
      memory.copy(row, x + ((<usize>i * args.xStride) << 2), bytes)
    }
  }
}
