/** Firs and a sailing boat: flat pictures that face the camera, which never moves. */
import { CLEARINGS } from './boxes.mjs'
import { haze, height, lit, SUN } from './land.mjs'
import { clamp, fbm, hash, noise, scale } from './noise.mjs'

const RIGHT = (azimuth) => [Math.cos(azimuth), 0, -Math.sin(azimuth)]

/**
 * @param draws returns the colour at metres across and up from the foot, or null outside the
 * picture
 */
function flat(azimuth, distance, foot, half, tall, draws) {
  return { azimuth, distance, foot, half, tall, draws, reach: Math.atan(half / distance) }
}

function fir(azimuth, distance, tall, seed) {
  const [x, z] = [Math.sin(azimuth) * distance, Math.cos(azimuth) * distance]
  const half = tall * (0.2 + 0.06 * hash(seed, 1))
  const tiers = 11 + Math.floor(6 * hash(seed, 2))
  const right = RIGHT(azimuth)
  return flat(azimuth, distance, height(x, z) - 0.1, half * 1.15, tall, (u, up) => {
    const v = up / tall
    if (v < 0.09 && Math.abs(u) < tall * 0.018) return lit([0.2, 0.14, 0.1], [-0.5, 0, -0.86])
    if (v < 0.05) return null
    // Branches hang, so a tier is lower at its tips.
    const at = (v + 0.3 * Math.abs(u / tall) + 0.012 * noise((u / tall) * 40, seed)) * tiers
    const tier = at - Math.floor(at)
    const width = half * (1 - v) ** 0.9 * (1.08 - 0.42 * tier)
    const needles = fbm((u / tall) * 70, v * 80 + 3 * Math.abs(u / half), 2, seed)
    const edge = width * (0.6 + 0.65 * fbm(Math.sign(u) * 9, v * 75, 2, seed + 1))
    if (Math.abs(u) > edge) return null
    const side = clamp(u / (width + 0.01), -1, 1)
    const normal = [
      0.75 * side * right[0],
      0.45 - 0.25 * tier,
      0.75 * side * right[2] - 0.55 * Math.sqrt(1 - side * side),
    ]
    const long = Math.hypot(...normal)
    const dark = (0.2 + 1.2 * needles) * (1.2 - 0.75 * tier)
    const colour = lit(scale([0.1, 0.19, 0.08], dark), scale(normal, 1 / long), 0.55 + 0.45 * v)
    return haze(colour, distance)
  })
}

function boat(azimuth, distance) {
  return flat(azimuth, distance, 0, 3.4, 8.6, (u, up) => {
    const hull = up > 0.05 && up < 0.85 && u > -2.7 + 0.5 * (0.85 - up) && u < 3.1 - (0.85 - up)
    if (hull) return lit(up > 0.7 ? [0.75, 0.2, 0.12] : [0.85, 0.85, 0.83], [-0.4, 0.2, -0.9])
    if (up > 0.85 && Math.abs(u) < 0.07) return [0.3, 0.22, 0.16]
    const height = (up - 1.5) / 6.8
    if (height < 0 || height > 1) return null
    const cloth = 0.86 + 0.12 * noise(u * 1.5, up * 2.2, 4)
    if (u < -0.12 && u > -2.5 * (1 - height))
      return lit(scale([0.95, 0.93, 0.86], cloth), [-0.6, 0.1, -0.79])
    if (u > 0.12 && u < 2.6 * (1 - height) * (1 - 0.2 * height))
      return lit(scale([0.9, 0.86, 0.78], cloth), [-0.2, 0.1, -0.97])
    return null
  })
}

const DEGREE = Math.PI / 180
const isFree = (x, z, distance) =>
  height(x, z) > 0.7 &&
  CLEARINGS.every(([a, b, radius]) => Math.hypot(x - a, z - b) > radius) &&
  // The view from the camera to the lake and the cabin.
  !(distance < 31 && Math.abs(Math.atan2(x, z) - 0.05) < 0.52)

function wood() {
  const trees = []
  for (let seed = 0; seed < 1500; seed++) {
    const azimuth = 160 * DEGREE * (hash(seed, 10) - 0.5)
    const distance = 26 + 130 * hash(seed, 11) ** 0.8
    const [x, z] = [Math.sin(azimuth) * distance, Math.cos(azimuth) * distance]
    if (!isFree(x, z, distance) || fbm(x / 34, z / 34, 3, 300) < 0.42) continue
    trees.push(fir(azimuth, distance, 7 + 8 * hash(seed, 12), seed))
  }
  return trees
}

/** Nearest first. */
export const flats = [
  ...wood(),
  fir(-35 * DEGREE, 19, 12.5, 7001),
  fir(-41 * DEGREE, 20, 15, 7002),
  fir(37 * DEGREE, 19, 14, 7003),
  fir(45 * DEGREE, 16, 11, 7004),
  fir(54 * DEGREE, 18, 13, 7005),
  fir(-52 * DEGREE, 16, 10, 7006),
  boat(-1.5 * DEGREE, 50),
].sort((one, other) => one.distance - other.distance)

/** Returns the intersection of a ray with them. @param y height of its origin */
export function meetFlat(candidates, y, azimuth, slope, most) {
  for (const one of candidates) {
    if (one.distance > most) return null
    const off = azimuth - one.azimuth
    if (Math.abs(off) > one.reach) continue
    const up = y + (one.distance / Math.cos(off)) * slope - one.foot
    if (up < 0 || up > one.tall) continue
    const colour = one.draws(one.distance * Math.tan(off), up)
    if (colour) return { distance: one.distance, colour }
  }
  return null
}

const near = flats.filter(({ distance, half }) => distance < 75 && half < 3.3)
const away = Math.hypot(SUN[0], SUN[2])

/** Share of the sun that reaches the ground between the trees, 0..1. */
export function sunAt(x, z) {
  let sun = 1
  for (const { azimuth, distance, half, tall } of near) {
    const [dx, dz] = [x - Math.sin(azimuth) * distance, z - Math.cos(azimuth) * distance]
    const along = -(dx * SUN[0] + dz * SUN[2]) / away
    const long = (tall * away) / SUN[1]
    if (along < -half * 0.5 || along > long) continue
    const across = Math.abs(dx * SUN[2] - dz * SUN[0]) / away
    const width = half * (1 - Math.max(0, along) / long) * (0.8 + 0.5 * noise(x * 1.4, z * 1.4, 9))
    if (across < width) sun = Math.min(sun, 0.25)
  }
  return sun
}
