/** A camera with a flat sensor, which samples the panorama. */
import { REACH } from './panorama.mjs'

const DEGREE = Math.PI / 180
/** Rays per pixel, in each direction. */
const RAYS = 2

/**
 * @param panorama result of drawPanorama
 * @param pose degrees: `pan` to the right, `tilt` up, `roll` clockwise, `view` from left to right
 * @returns RGB bytes, row by row
 */
export function takePicture(panorama, { pan, tilt, roll, view }, width, height) {
  const picture = new Uint8Array(width * height * 3)
  const focal = width / 2 / Math.tan((view / 2) * DEGREE)
  const [cr, sr] = [Math.cos(roll * DEGREE), Math.sin(roll * DEGREE)]
  const [ct, st] = [Math.cos(tilt * DEGREE), Math.sin(tilt * DEGREE)]
  const sum = [0, 0, 0]
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      sum.fill(0)
      for (let ray = 0; ray < RAYS * RAYS; ray++) {
        const across = column + ((ray % RAYS) + 0.5) / RAYS - width / 2
        const up = height / 2 - row - (Math.floor(ray / RAYS) + 0.5) / RAYS
        // If the camera is turned clockwise, its right side is lower.
        const x = cr * across + sr * up
        const y = cr * up - sr * across
        const ahead = ct * focal - st * y
        const azimuth = Math.atan2(x, ahead) + pan * DEGREE
        const elevation = Math.atan2(ct * y + st * focal, Math.hypot(x, ahead))
        add(sum, panorama, azimuth, elevation)
      }
      const at = 3 * (row * width + column)
      for (let k = 0; k < 3; k++) picture[at + k] = Math.round(sum[k] / (RAYS * RAYS))
    }
  }
  return picture
}

/** Adds the colour in a direction, by bilinear interpolation. */
function add(sum, { data, width, height }, azimuth, elevation) {
  const x = ((azimuth / REACH.azimuth + 1) / 2) * width - 0.5
  const y = ((1 - elevation / REACH.elevation) / 2) * height - 0.5
  const [i, j] = [Math.floor(x), Math.floor(y)]
  if (i < 0 || j < 0 || i + 1 >= width || j + 1 >= height)
    throw new RangeError('the camera looks beyond the panorama')
  const [u, v] = [x - i, y - j]
  const at = 3 * (j * width + i)
  for (let k = 0; k < 3; k++) {
    const top = data[at + k] + (data[at + 3 + k] - data[at + k]) * u
    const low = at + 3 * width + k
    sum[k] += top + (data[low] + (data[low + 3] - data[low]) * u - top) * v
  }
}
