/**
 * A lake between meadows, wooded hills and mountains, under a sky with clouds. Metres; x is to the
 * right, y up, z ahead; the water is at y = 0 and the camera at (0, EYE, 0).
 */
import { blend, clamp, fbm, hash, noise, ridges, scale, smoothstep } from './noise.mjs'

export const EYE = 3.2

const unit = ([x, y, z]) => scale([x, y, z], 1 / Math.hypot(x, y, z))
/** Towards the sun: low, from the left and behind. */
export const SUN = unit([-0.75, 0.5, -0.45])
const SUNLIGHT = [1.75, 1.38, 0.96]
const SKYLIGHT = [0.22, 0.31, 0.46]

/**
 * Returns the light on a surface. @param normal unit vector @param open visible share of the sky
 */
export function lit(colour, [x, y, z], open = 1, sun = 1) {
  const direct = sun * Math.max(0, x * SUN[0] + y * SUN[1] + z * SUN[2])
  const ambient = open * (0.62 + 0.38 * y)
  return colour.map((value, i) => value * (SUNLIGHT[i] * direct + SKYLIGHT[i] * ambient))
}

/** Distance from the middle of the lake: 0 there, 1 at its shore. */
const shore = (x, z) =>
  Math.hypot((x + 16) / 62, (z - 62) / 47) + 0.16 * (fbm(x / 17, z / 17, 3, 5) - 0.5)

/** Returns the height of the ground; below 0 is water. */
export function height(x, z) {
  const distance = Math.hypot(x, z)
  const outside = shore(x, z) - 1
  if (outside < 0) return -3 * Math.min(1, -4 * outside)
  const bank = 1.5 * smoothstep(0, 0.22, outside)
  const meadow = 0.5 * (fbm(x / 9, z / 9, 4, 9) - 0.4) * smoothstep(0, 0.1, outside)
  const hills = 34 * smoothstep(0.15, 2.4, outside) * fbm(x / 75, z / 75, 3, 21)
  const far = smoothstep(170, 640, distance)
  const peaks = far * (60 + 300 * ridges(x / 420 + 3.1, z / 420, 6, 40))
  return bank + meadow + hills * smoothstep(60, 130, distance) + peaks * far + woods(x, z, distance)
}

/** Returns the height of the treetops of distant woods, which have no single trees. */
function woods(x, z, distance) {
  if (distance < 95) return 0
  const [i, j] = [x / 3.2, z / 3.2]
  const crown = hash(Math.floor(i), Math.floor(j), 3)
  const [u, v] = [i - Math.floor(i) - 0.5, j - Math.floor(j) - 0.5]
  const cone = clamp(1 - 2.1 * Math.hypot(u, v))
  return wooded(x, z, distance) * (2 + 6 * (0.4 + crown) * cone)
}

const wooded = (x, z, distance) =>
  smoothstep(0.36, 0.5, fbm(x / 90, z / 90, 3, 77)) *
  (1 - smoothstep(200, 290, distance)) *
  smoothstep(0.1, 0.3, shore(x, z) - 1)

/** Returns the colour of the ground. @param sun share of the sun that reaches it */
export function ground(x, z, sun) {
  const distance = Math.hypot(x, z)
  const step = Math.max(0.05, distance / 900)
  const y = height(x, z)
  const normal = unit([
    (height(x - step, z) - height(x + step, z)) / (2 * step),
    1,
    (height(x, z - step) - height(x, z + step)) / (2 * step),
  ])
  return haze(lit(soil(x, y, z, distance, normal[1]), normal, 1, sun), distance)
}

function soil(x, y, z, distance, level) {
  const grain = fbm(x * 2.2, z * 2.2, 4, 60)
  if (distance < 300) {
    const grass = blend([0.07, 0.15, 0.02], [0.36, 0.37, 0.08], fbm(x / 6, z / 6, 4, 13))
    const dry = blend(
      scale(grass, blades(x, z, distance)),
      [0.36, 0.3, 0.2],
      1 - smoothstep(0, 0.35, y),
    )
    const flower = y > 0.5 && distance < 34 && flowerAt(x, z)
    if (flower) return flower
    const wood = wooded(x, z, distance) * smoothstep(92, 100, distance)
    return blend(dry, scale([0.05, 0.1, 0.04], 0.6 + grain), wood)
  }
  const wood = wooded(x, z, distance)
  const meadow = scale([0.2, 0.27, 0.09], 0.5 + grain)
  const layers = 0.75 + 0.5 * fbm(x / 30, (y + 0.3 * x) / 7, 4, 91)
  const rock = scale([0.29, 0.27, 0.26], layers)
  const snowLine = 120 + 70 * fbm(x / 60, z / 60, 3, 15)
  const snow = smoothstep(snowLine, snowLine + 25, y) * smoothstep(0.5, 0.66, level)
  const green = (1 - smoothstep(70, 130, y + 30 * grain)) * smoothstep(0.55, 0.75, level)
  const bare = blend(rock, blend(meadow, scale([0.05, 0.1, 0.04], 0.6 + grain), wood), green)
  return blend(bare, [0.93, 0.95, 1], snow)
}

/** Light and shade of grass, as fine as its distance allows. */
function blades(x, z, distance) {
  const fine = 46 / Math.max(2.5, distance)
  const [azimuth, depth] = [Math.atan2(x, z) * Math.max(2.5, distance), Math.log(distance) * 9]
  const upright = fbm(azimuth * fine, depth, 3, 31)
  return 0.05 + 1.1 * upright + 0.75 * fbm(x * 1.7, z * 1.7, 4, 32)
}

/** Returns the petals around the middle of some cells of a grid, or null. */
function flowerAt(x, z) {
  const [i, j] = [Math.floor(x * 2.2), Math.floor(z * 2.2)]
  const kind = hash(i, j, 8)
  if (kind < 0.93) return null
  const [u, v] = [x * 2.2 - i - 0.3 - 0.4 * hash(i, j, 9), z * 2.2 - j - 0.5]
  if (Math.hypot(u, 0.5 * v) > 0.11) return null
  return kind < 0.955 ? [0.95, 0.78, 0.15] : kind < 0.985 ? [0.9, 0.9, 0.95] : [0.75, 0.35, 0.75]
}

/** Haze between the camera and a point. */
export const haze = (colour, distance) =>
  blend([0.56, 0.66, 0.8], colour, Math.exp(-distance / 1500))

/** Colour of the sky. @param azimuth,elevation radians */
export function sky(azimuth, elevation) {
  const up = Math.max(0.015, Math.sin(elevation))
  const clear = blend([0.74, 0.8, 0.86], [0.13, 0.32, 0.72], clamp(1.5 * up) ** 0.6)
  const side = Math.cos(elevation) / (up + 0.12)
  const [x, z] = [Math.sin(azimuth) * side, Math.cos(azimuth) * side]
  const cover = fbm(x * 1.3 + 2, z * 1.3, 6, 120)
  const thick = smoothstep(0.47, 0.7, cover)
  const shade = smoothstep(-0.07, 0.1, cover - fbm(x * 1.3 + 1.86, z * 1.3 - 0.08, 6, 120))
  const cloud = blend([0.62, 0.66, 0.76], [1.12, 1.06, 0.98], 0.35 + 0.65 * shade)
  return blend(clear, cloud, thick * 0.95 * smoothstep(0, 0.12, up))
}

/** Waves: the angle in radians by which a reflection is shifted. */
export function ripple(x, z, distance) {
  const calm = 0.012 / (1 + distance / 60)
  return [
    calm * (fbm(x / 0.8, z / 1.6, 3, 200) - 0.5),
    1.6 * calm * (noise(x / 1.1, z / 0.5, 210) + fbm(x / 5, z / 1.4, 3, 220) - 1),
  ]
}

/** Colour of the lake below its reflections. */
export const deep = (distance) =>
  blend([0.015, 0.07, 0.1], [0.03, 0.13, 0.21], clamp(distance / 80))
