/** Value noise, the same on every machine. */

/** A pseudo-random number 0..1 for a point of the integer grid. */
export function hash(x, y, seed = 0) {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ Math.imul(seed, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}

/** Smooth noise 0..1 with features of size 1. */
export function noise(x, y, seed = 0) {
  const [i, j] = [Math.floor(x), Math.floor(y)]
  const [u, v] = [smooth(x - i), smooth(y - j)]
  const top = mix(hash(i, j, seed), hash(i + 1, j, seed), u)
  return mix(top, mix(hash(i, j + 1, seed), hash(i + 1, j + 1, seed), u), v)
}

/** Octaves of noise, 0..1: each has half the size and half the weight of the one before. */
export function fbm(x, y, octaves, seed = 0) {
  let [sum, weight, total] = [0, 1, 0]
  for (let octave = 0; octave < octaves; octave++) {
    sum += weight * noise(x, y, seed + octave)
    total += weight
    weight /= 2
    // Turned, so that no grid is seen.
    ;[x, y] = [1.6 * x - 1.2 * y, 1.2 * x + 1.6 * y]
  }
  return sum / total
}

/** Octaves of noise with sharp ridges, 0..1. */
export function ridges(x, y, octaves, seed = 0) {
  let [sum, weight, total] = [0, 1, 0]
  for (let octave = 0; octave < octaves; octave++) {
    sum += weight * (1 - Math.abs(2 * noise(x, y, seed + octave) - 1)) ** 2
    total += weight
    weight /= 2.1
    ;[x, y] = [1.6 * x - 1.2 * y, 1.2 * x + 1.6 * y]
  }
  return sum / total
}

const mix = (from, to, share) => from + (to - from) * share
export const clamp = (value, least = 0, most = 1) => Math.min(most, Math.max(least, value))
const smooth = (t) => t * t * (3 - 2 * t)
export const smoothstep = (from, to, value) => smooth(clamp((value - from) / (to - from)))

/** Colours are linear light, [red, green, blue]. */
export const blend = ([a, b, c], [d, e, f], share) => [
  mix(a, d, share),
  mix(b, e, share),
  mix(c, f, share),
]
export const scale = ([a, b, c], by) => [a * by, b * by, c * by]
