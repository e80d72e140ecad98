/**
 * Separable resampling with a triangle filter. It is bilinear when the picture grows, and
 * antialiased when it shrinks (the filter widens by the ratio, as in PIL's BILINEAR). It has only
 * basic arithmetic and floor on float64 and float32: results are bit-identical in every runtime.
 */

/**
 * One axis: output `i` is the sum over `k < taps` of `weights[i * taps + k] * input[starts[i] +
 * k]`.
 */
export interface Axis {
  readonly starts: Int32Array
  readonly weights: Float64Array
  readonly taps: number
}

/** How an axis is resampled. */
export interface AxisShape {
  /** Number of source samples. */
  readonly from: number
  /** Pixels of the picture that the samples cover; more than `from` for chroma. */
  readonly pixels: number
  /** Pixels of the whole resized picture. */
  readonly to: number
  /** Offset and length of the resampled part in it. */
  readonly offset: number
  readonly length: number
  /** log2 of the pixels per sample. */
  readonly shift: 0 | 1
  /**
   * Position of sample 0 in pixels from the edge: 0.5 is on the first pixel, 1 between the first
   * two.
   */
  readonly site: number
}

/**
 * Returns the filter of one axis. Samples outside the picture are ignored; the other weights are
 * scaled to a sum of 1.
 */
export function makeAxis({ from, pixels, to, offset, length, shift, site }: AxisShape): Axis {
  const pitch = 1 << shift
  const scale = pixels / to
  const radius = Math.max(scale / pitch, 1)
  const centres = Array.from(
    { length },
    (_, i) => ((offset + i + 0.5) * scale - site) / pitch + 0.5,
  )
  const first = (centre: number): number => Math.max(0, Math.floor(centre - radius + 0.5))
  const last = (centre: number): number => Math.min(from, Math.floor(centre + radius + 0.5))
  const taps = centres.reduce((most, centre) => Math.max(most, last(centre) - first(centre)), 1)
  const starts = new Int32Array(length)
  const weights = new Float64Array(length * taps)
  centres.forEach((centre, i) => {
    const start = Math.min(first(centre), from - taps)
    const row = weights.subarray(i * taps, (i + 1) * taps)
    let sum = 0
    for (let k = 0; k < taps; k++) {
      row[k] = Math.max(0, 1 - Math.abs(start + k + 0.5 - centre) / radius)
      sum += row[k]!
    }
    for (let k = 0; k < taps; k++) row[k]! /= sum
    starts[i] = start
  })
  return { starts, weights, taps }
}

/** Samples of one colour in memory. */
export interface Samples {
  readonly data: Uint8Array | Uint16Array
  /** Samples from one row to the next. */
  readonly stride: number
  /** Samples from one pixel to the next. */
  readonly step: number
  /** Index of the first sample. */
  readonly start: number
}

/**
 * Resamples to `out`, [y.length, x.length]. `rows` is scratch memory for the source rows, resampled
 * along x.
 */
export function resample(
  out: Float32Array,
  rows: Float32Array,
  samples: Samples,
  x: Axis,
  y: Axis,
): void {
  const width = x.starts.length
  const height = y.starts.length
  const top = y.starts[0]!
  const bottom = y.starts[height - 1]! + y.taps
  for (let row = top; row < bottom; row += 4) resampleRows(rows, samples, row, top, bottom, x)
  const sums = new Float64Array(width)
  for (let i = 0; i < height; i++) {
    sums.fill(0)
    for (let k = 0; k < y.taps; k++) {
      const weight = y.weights[i * y.taps + k]!
      if (weight === 0) continue
      const from = (y.starts[i]! + k - top) * width
      for (let j = 0; j < width; j++) sums[j]! += weight * rows[from + j]!
    }
    out.set(sums, i * width)
  }
}

/** Returns the number of source rows that `resample` needs scratch memory for. */
export function rowsNeeded(y: Axis): number {
  return y.starts.at(-1)! + y.taps - y.starts[0]!
}

/**
 * Resamples four rows along x: four sums that do not depend on each other are faster than one. The
 * last row, before `bottom`, stands for rows after it.
 * @param top source row of the first row of `out`
 */
function resampleRows(
  out: Float32Array,
  { data, stride, step, start }: Samples,
  row: number,
  top: number,
  bottom: number,
  { starts, weights, taps }: Axis,
): void {
  const width = starts.length
  const next = (count: number): number => Math.min(count, bottom - 1 - row)
  const [r1, r2, r3] = [next(1), next(2), next(3)]
  const [d1, d2, d3] = [r1 * stride, r2 * stride, r3 * stride]
  const base = start + row * stride
  const at = (row - top) * width
  let w = 0
  for (let i = 0; i < width; i++) {
    let from = base + starts[i]! * step
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    for (let k = 0; k < taps; k++) {
      const weight = weights[w++]!
      s0 += weight * data[from]!
      s1 += weight * data[from + d1]!
      s2 += weight * data[from + d2]!
      s3 += weight * data[from + d3]!
      from += step
    }
    out[at + i] = s0
    out[at + r1 * width + i] = s1
    out[at + r2 * width + i] = s2
    out[at + r3 * width + i] = s3
  }
}
