/** Everything that the camera can see from its position, rendered once. */
import { built } from './boxes.mjs'
import { deep, EYE, ground, haze, height, ripple, sky } from './land.mjs'
import { blend } from './noise.mjs'
import { flats, meetFlat, sunAt } from './trees.mjs'

const DEGREE = Math.PI / 180
/** Half the angles of the panorama, in radians. */
export const REACH = { azimuth: 50 * DEGREE, elevation: 33 * DEGREE }

const STEPS = 1500
const [NEAREST, FARTHEST] = [1.5, 1150]
const distanceOf = (step) => NEAREST * (FARTHEST / NEAREST) ** (step / (STEPS - 1))

/**
 * Returns the ground along one azimuth, as seen by the camera and by its mirror image under water.
 */
function columnOf(azimuth) {
  const [s, c] = [Math.sin(azimuth), Math.cos(azimuth)]
  const [upper, lower] = [new Float32Array(STEPS), new Float32Array(STEPS)]
  let [most, mirrored, isBeyondWater] = [-Infinity, -Infinity, false]
  for (let step = 0; step < STEPS; step++) {
    const r = distanceOf(step)
    const y = height(s * r, c * r)
    most = Math.max(most, (Math.max(y, 0) - EYE) / r)
    isBeyondWater ||= y <= 0
    if (isBeyondWater && y > 0) mirrored = Math.max(mirrored, (y + EYE) / r)
    upper[step] = most
    lower[step] = mirrored
  }
  return {
    azimuth,
    upper,
    lower,
    boxes: built.filter(({ least, most }) => azimuth > least - 0.01 && azimuth < most + 0.01),
    flats: flats.filter((one) => Math.abs(azimuth - one.azimuth) < one.reach + 0.01),
  }
}

/** Returns the distance at which a ray meets the ground, or Infinity. */
function groundAt(slopes, slope) {
  let [low, high] = [0, STEPS]
  while (low < high) {
    const middle = (low + high) >> 1
    if (slopes[middle] >= slope) high = middle
    else low = middle + 1
  }
  if (low === STEPS) return Infinity
  if (low === 0) return NEAREST
  const from = slopes[low - 1]
  const share = Number.isFinite(from) ? (slope - from) / (slopes[low] - from) : 1
  return distanceOf(low - 1 + share)
}

function colourOf(column, azimuth, elevation, isMirrored) {
  const slope = Math.tan(elevation)
  const [s, c] = [Math.sin(azimuth), Math.cos(azimuth)]
  const y = isMirrored ? -EYE : EYE
  let reach = groundAt(isMirrored ? column.lower : column.upper, slope)
  let found = null
  for (const one of column.boxes) {
    const hit = one.hit([0, y, 0], [s, slope, c])
    if (hit && hit.distance < reach && (!isMirrored || y + hit.distance * slope > 0)) {
      reach = hit.distance
      found = haze(hit.colour, reach)
    }
  }
  const flat = meetFlat(column.flats, y, azimuth, slope, reach)
  if (flat) return flat.colour
  if (found) return found
  if (reach === Infinity) return sky(azimuth, elevation)
  const [x, z] = [s * reach, c * reach]
  if (isMirrored || height(x, z) > 0) return ground(x, z, sunAt(x, z))
  return lake(column, azimuth, elevation, reach)
}

function lake(column, azimuth, elevation, distance) {
  const [x, z] = [Math.sin(azimuth) * distance, Math.cos(azimuth) * distance]
  const [aside, up] = ripple(x, z, distance)
  const seen = colourOf(column, azimuth + aside, Math.max(0.002, up - elevation), true)
  const mirror = 0.1 + 0.86 * (1 - Math.sin(-elevation)) ** 4
  return haze(blend(deep(distance), seen, mirror), distance)
}

/** Linear light to a byte: a soft shoulder, then sRGB. */
function byteOf(light) {
  const soft = 1 - Math.exp(-1.35 * light)
  return Math.round(255 * Math.min(1, soft ** (1 / 2.2)))
}

/**
 * Renders the panorama.
 * @param density pixels per degree
 * @returns RGB bytes, row by row from the top; columns are azimuths, rows elevations
 */
export function drawPanorama(density, onProgress = () => {}) {
  const width = Math.round((2 * REACH.azimuth * density) / DEGREE)
  const rows = Math.round((2 * REACH.elevation * density) / DEGREE)
  const data = new Uint8Array(width * rows * 3)
  const sums = new Float32Array(rows * 3)
  for (let i = 0; i < width; i++) {
    sums.fill(0)
    for (const share of [0.25, 0.75]) {
      const azimuth = ((i + share) / width - 0.5) * 2 * REACH.azimuth
      const column = columnOf(azimuth)
      for (let j = 0; j < rows; j++) {
        for (const part of share < 0.5 ? [0.1, 0.6] : [0.4, 0.9]) {
          const elevation = (0.5 - (j + part) / rows) * 2 * REACH.elevation
          const colour = colourOf(column, azimuth, elevation, false)
          for (let k = 0; k < 3; k++) sums[3 * j + k] += colour[k] / 4
        }
      }
    }
    for (let j = 0; j < rows; j++)
      for (let k = 0; k < 3; k++) data[3 * (j * width + i) + k] = byteOf(sums[3 * j + k])
    onProgress((i + 1) / width)
  }
  return { data, width, height: rows }
}
