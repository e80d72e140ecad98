/**
 * The values of a weight, row-major:
 *
 *     out[q·k + i, j] = weight[q, i, j]
 *
 * Shapes: out [blocks·k, n]. A matrix is stored in panels of 8 columns, [blocks, ⌈n/8⌉, k, 8],
 * other weights as [blocks·k, n].
 *
 * A unit of work is a row.
 */
import { WeightValuesArgs } from '../../build/train/operations'
import { PANEL } from '../lib/target'

export function weightValues(args: WeightValuesArgs, begin: i32, end: i32): void {
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    if (args.matrix) copyPanels(args, out, row)
    else memory.copy(out, args.weight + ((<usize>row * args.n) << 2), (<usize>args.n) << 2)
  }
}

function copyPanels(args: WeightValuesArgs, out: usize, row: i32): void {
  const panels = (args.n + PANEL - 1) / PANEL
  const step = (<usize>(args.k * PANEL)) << 2
  let from = args.weight + <usize>((row / args.k) * panels) * step + ((<usize>(row % args.k)) << 5)
  let left = args.n
  for (; left >= PANEL; left -= PANEL) {
    const a = v128.load(from),
      b = v128.load(from, 16)
    ;(v128.store(out, b, 16), v128.store(out, a))
    out += PANEL << 2
    from += step
  }
  if (left) memory.copy(out, from, (<usize>left) << 2)
}
