/**
 * Functions that derive weights when a model is loaded. They use only + − × ÷. Math.exp and similar
 * functions differ between runtimes by a bit, but the same checkpoint must give the same logits on
 * all of them. Relative errors are about 1e-15.
 */

/** e^x for x ≤ 700: x = i·ln 2 + r, then Taylor's series of e^r to the 13th power. */
function exp(x: number): number {
  if (x < -745) return 0
  // biome-ignore lint/suspicious/noApproximativeNumericConstant: the same digits as in the kernels
  const i = Math.round(x * 1.4426950408889634)
  // ln 2 in two parts, the first with trailing zeros so that i·high is exact.
  const r = x - i * 0.6931471803691238 - i * 1.9082149292705877e-10
  let sum = 1
  for (let power = 13; power >= 1; power--) sum = 1 + (r / power) * sum
  for (let left = i; left > 0; left--) sum *= 2
  for (let left = i; left < 0; left++) sum /= 2
  return sum
}

/** ln(1 + e^x), for any x: max(x, 0) + ln(1 + u) with u = e^−|x|, as 2·artanh(u / (2 + u)). */
export function softplus(x: number): number {
  const u = exp(-Math.abs(x))
  const s = u / (2 + u)
  let sum = 0
  for (let power = 41; power >= 1; power -= 2) sum = sum * s * s + 1 / power
  return Math.max(x, 0) + 2 * s * sum
}

/**
 * [sin x, cos x] for |x| up to a few thousand: reduced by quarter turns, then Taylor's series
 * within an eighth of a turn.
 */
function sinCos(x: number): readonly [sin: number, cos: number] {
  const quarter = Math.round(x * 0.6366197723675814)
  // π/2 in two parts, the first with trailing zeros so that quarter·high is exact.
  const r = x - quarter * 1.5707963267341256 - quarter * 6.077100506506192e-11
  let sin = 1
  for (let power = 17; power >= 3; power -= 2) sin = 1 - (r * r * sin) / (power * (power - 1))
  let cos = 1
  for (let power = 18; power >= 2; power -= 2) cos = 1 - (r * r * cos) / (power * (power - 1))
  sin *= r
  return (
    [
      [sin, cos],
      [cos, -sin],
      [-sin, -cos],
      [-cos, sin],
    ] as const
  )[((quarter % 4) + 4) % 4]!
}

/**
 * Fixed positions [rows·columns, d] (trecvit/utils.py posemb_sincos_2d): ω_j = 10000^(−j/(d/4−1));
 * the row of patch (y, x) is sin xω, cos xω, sin yω, cos yω.
 */
export function sincos2d(rows: number, columns: number, d: number): Float32Array {
  const quarter = d / 4
  const table = new Float32Array(rows * columns * d)
  const ln10000 = 9.210340371976184
  for (let j = 0; j < quarter; j++) {
    const omega = exp((-j / (quarter - 1)) * ln10000)
    for (let patch = 0; patch < rows * columns; patch++) {
      const y = Math.floor(patch / columns)
      const x = patch % columns
      const values = [...sinCos(x * omega), ...sinCos(y * omega)]
      values.forEach((value, part) => (table[patch * d + part * quarter + j] = value))
    }
  }
  return table
}
