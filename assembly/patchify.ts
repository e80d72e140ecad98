/**
 * Splits frames into patches, one row each:
 *
 *     out[f, lead + p, (y·px + x)·3 + colour] = pixels[f, row(p)·py + y, column(p)·px + x, colour]
 *     out[f, 0..lead−1] = 0
 *
 * Shapes: pixels [frames, gridRows·py, gridColumns·px, 3], bytes or float32. Bytes are divided by
 * 255. It is a true division, as in the reference, not a product with 1/255. A line of a patch is
 * px·3 consecutive values on both sides.
 *
 * A unit of work is a row of patches of one frame.
 */
import { PatchifyArgs } from '../build/operations'

export function patchify(args: PatchifyArgs, begin: i32, end: i32): void {
  const line = args.px * 3
  const width = args.gridColumns * line
  const tokens = args.lead + args.gridRows * args.gridColumns
  for (let unit = begin; unit < end; unit++) {
    const frame = unit / args.gridRows
    const gridRow = unit % args.gridRows
    const rows = args.out + ((<usize>frame * tokens * args.outStride) << 2)
    if (gridRow == 0)
      for (let token = 0; token < args.lead; token++)
        memory.fill(rows + ((<usize>token * args.outStride) << 2), 0, (<usize>args.py * line) << 2)
    for (let column = 0; column < args.gridColumns; column++) {
      const row =
        rows + ((<usize>(args.lead + gridRow * args.gridColumns + column) * args.outStride) << 2)
      for (let y = 0; y < args.py; y++) {
        const from = <usize>(unit * args.py + y) * width + column * line
        const to = row + ((<usize>(y * line)) << 2)
        if (args.bytes) scaled(to, args.pixels + from, line)
        else memory.copy(to, args.pixels + (from << 2), line << 2)
      }
    }
  }
}

/** to[i] = from[i] / 255. */
// @ts-ignore: decorator
@inline
function scaled(to: usize, from: usize, count: i32): void {
  const all = f32x4.splat(255)
  let i = 0
  for (; i + 4 <= count; i += 4) {
    const bytes = v128.load_zero<u32>(from + i)
    const words = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes))
    v128.store(to + ((<usize>i) << 2), f32x4.div(f32x4.convert_i32x4_u(words), all))
  }
  for (; i < count; i++) store<f32>(to + ((<usize>i) << 2), <f32>load<u8>(from + i) / 255)
}
