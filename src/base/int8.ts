/** Quantised matrices: w[i, j] = scale[j]·q[i, j], with one scale per output channel. */

/**
 * The largest |q|. With 64 added, weights are 1..127: the relaxed dot product of WebAssembly
 * requires a second operand of 7 bits.
 */
export const LEVELS = 63

/** A quantised matrix. */
export interface Quantized {
  readonly values: Int8Array
  readonly scales: Float32Array
}

/**
 * Quantises a matrix.
 * @param values [blocks, rows, columns]
 * @returns the nearest integers and the scales [blocks, columns]. A scale is the largest absolute
 * value of its column / 63. It is not finite if a value of the column is not
 */
export function quantize(values: Float32Array, columns: number, blocks = 1): Quantized {
  const integers = new Int8Array(values.length)
  const scales = new Float32Array(blocks * columns)
  const size = values.length / blocks
  for (let block = 0; block < blocks; block++) {
    const own = scales.subarray(block * columns, (block + 1) * columns)
    const [from, end] = [block * size, (block + 1) * size]
    // Math.max keeps NaN.
    for (let at = from; at < end; )
      for (let j = 0; j < columns; j++) own[j] = Math.max(own[j]!, Math.abs(values[at++]!))
    for (let j = 0; j < columns; j++) own[j] = own[j]! / LEVELS
    const inverses = Float64Array.from(own, (scale) =>
      scale > 0 && scale < Infinity ? 1 / scale : 0,
    )
    for (let at = from; at < end; )
      for (let j = 0; j < columns; j++, at++)
        integers[at] = Math.max(-LEVELS, Math.min(LEVELS, Math.round(values[at]! * inverses[j]!)))
  }
  return { values: integers, scales }
}
