/** Buildings: a cabin, its fence and a jetty, all made of boxes but for the roof. */
import { height, lit } from './land.mjs'
import { blend, fbm, hash, scale } from './noise.mjs'

/**
 * A box that is rotated around the vertical.
 * @param centre,half metres, [x, y, z]
 * @param angle radians
 * @param paint returns the colour of a point from its local coordinates and the axis of its face
 */
function box(centre, half, angle, paint) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)]
  const toLocal = ([x, y, z]) => [c * x - s * z, y, s * x + c * z]
  const toWorld = ([x, y, z]) => [c * x + s * z, y, -s * x + c * z]
  const corners = [-1, 1].flatMap((i) => [-1, 1].map((k) => toWorld([i * half[0], 0, k * half[2]])))
  const azimuths = corners.map(([x, , z]) => Math.atan2(x + centre[0], z + centre[2]))
  return {
    toLocal,
    toWorld,
    centre,
    least: Math.min(...azimuths),
    most: Math.max(...azimuths),
    /** @returns distance and colour at the intersection with a ray, or null */
    hit(origin, direction) {
      const o = toLocal(origin.map((value, i) => value - centre[i]))
      const d = toLocal(direction)
      let [near, far, axis] = [0, Infinity, -1]
      for (let i = 0; i < 3; i++) {
        const [a, b] = [(-half[i] - o[i]) / d[i], (half[i] - o[i]) / d[i]]
        if (Math.min(a, b) > near) [near, axis] = [Math.min(a, b), i]
        far = Math.min(far, Math.max(a, b))
      }
      if (axis < 0 || near > far) return null
      const place = o.map((value, i) => value + near * d[i])
      const normal = [0, 0, 0]
      normal[axis] = -Math.sign(d[axis])
      return { distance: near, colour: lit(paint(place, axis, normal), toWorld(normal)) }
    },
  }
}

const WOOD = [0.42, 0.33, 0.24]
const WHITE = [0.85, 0.83, 0.78]
const grain = (x, y, seed) => 0.7 + 0.5 * fbm(x, y, 4, seed)
const plank = (at, width, seed) => {
  const share = at / width - Math.floor(at / width)
  return (share < 0.07 ? 0.5 : 1) * (0.82 + 0.3 * hash(Math.floor(at / width), 0, seed))
}
const within = (u, v, [left, bottom, right, top]) => u > left && u < right && v > bottom && v < top

const CABIN = { x: 8.2, z: 24, angle: 0.45, half: [3.3, 1.45, 2.3] }
const FLOOR = height(CABIN.x, CABIN.z) + 0.35
const WALL = [0.52, 0.09, 0.06]

function wall([x, y, z], axis) {
  const along = axis === 0 ? z : x
  const half = CABIN.half[axis === 0 ? 2 : 0]
  const isFront = axis === 2
  if (Math.abs(along) > half - 0.14 || y > 1.33) return WHITE
  if (y < -1.2) return scale([0.4, 0.39, 0.37], grain(along * 3, y * 3, 55))
  const panes = isFront
    ? [
        [-2.5, -0.45, -1.1, 0.75],
        [1.1, -0.45, 2.5, 0.75],
      ]
    : [[-0.7, -0.45, 0.7, 0.75]]
  for (const pane of panes) {
    const [left, bottom, right, top] = pane
    if (within(along, y, [left + 0.1, bottom + 0.1, right - 0.1, top - 0.1])) {
      const isBar =
        Math.abs(along - (left + right) / 2) < 0.04 || Math.abs(y - (bottom + top) / 2) < 0.04
      return isBar
        ? WHITE
        : blend([0.1, 0.14, 0.2], [0.5, 0.6, 0.72], 0.5 + 0.5 * (y + 0.3 * along))
    }
    if (within(along, y, pane)) return WHITE
  }
  if (isFront && within(along, y, [-0.55, -1.25, 0.55, 0.85])) {
    const isFrame = !within(along, y, [-0.43, -1.25, 0.43, 0.73])
    return isFrame ? WHITE : scale([0.16, 0.3, 0.27], plank(along + 4, 0.22, 71))
  }
  return scale(WALL, plank(along + 9, 0.19, 12) * grain(along * 9, y * 1.5, 33))
}

const body = box(
  [CABIN.x, FLOOR + CABIN.half[1], CABIN.z],
  CABIN.half,
  CABIN.angle,
  (place, axis) => wall(place, axis),
)
const RIDGE = CABIN.half[1] + 1.75
const SLOPE = 1.75 / CABIN.half[2]

/** A gable roof with eaves. */
const roof = {
  least: body.least - 0.06,
  most: body.most + 0.06,
  hit(origin, direction) {
    const o = body.toLocal(origin.map((value, i) => value - body.centre[i]))
    const d = body.toLocal(direction)
    let found = null
    const meet = (distance, normal, paint) => {
      const [x, y, z] = o.map((value, i) => value + distance * d[i])
      if (!(distance > 0) || (found && found.distance < distance)) return
      const colour = paint(x, y, z)
      if (colour) found = { distance, colour: lit(colour, body.toWorld(normal)) }
    }
    for (const side of [-1, 1]) {
      const length = Math.hypot(1, SLOPE)
      meet(
        (RIDGE - o[1] - side * SLOPE * o[2]) / (d[1] + side * SLOPE * d[2]),
        [0, 1 / length, (side * SLOPE) / length],
        (x, _, z) => {
          if (side * z < 0 || side * z > CABIN.half[2] + 0.5 || Math.abs(x) > CABIN.half[0] + 0.45)
            return null
          const row = Math.floor(z / 0.32)
          const tile = plank(x + 9 + (row % 2) * 0.2, 0.4, 90 + row)
          const edge = z / 0.32 - row > 0.86 ? 0.62 : 1
          return scale([0.2, 0.19, 0.2], tile * edge * grain(x * 4, z * 4, 44))
        },
      )
      meet((side * CABIN.half[0] - o[0]) / d[0], [side, 0, 0], (_, y, z) => {
        if (y < CABIN.half[1] || y > RIDGE - SLOPE * Math.abs(z)) return null
        if (y > RIDGE - SLOPE * Math.abs(z) - 0.16) return WHITE
        return scale(WALL, plank(z + 9, 0.19, 12) * grain(z * 9, y * 1.5, 33))
      })
    }
    return found
  },
}

function local(x, y, z) {
  const [dx, dy, dz] = body.toWorld([x, y, z])
  return [body.centre[0] + dx, body.centre[1] + dy, body.centre[2] + dz]
}
const chimney = box(local(1.7, 2.9, 0.5), [0.32, 0.85, 0.32], CABIN.angle, ([x, y, z], axis) => {
  const along = axis === 0 ? z : x
  const row = Math.floor(y / 0.16)
  const joint = y / 0.16 - row < 0.14 || (along / 0.3 + (row % 2) / 2 + 9) % 1 < 0.08
  return joint ? [0.5, 0.48, 0.45] : scale([0.5, 0.24, 0.17], 0.75 + 0.5 * hash(row, 1, 5))
})

const JETTY = { from: [-3.2, 12.2], to: [-6.4, 25.5] }
const length = Math.hypot(JETTY.to[0] - JETTY.from[0], JETTY.to[1] - JETTY.from[1])
const turn = Math.atan2(JETTY.to[0] - JETTY.from[0], JETTY.to[1] - JETTY.from[1])
const jettyAt = (along, across) => [
  JETTY.from[0] + Math.sin(turn) * along + Math.cos(turn) * across,
  JETTY.from[1] + Math.cos(turn) * along - Math.sin(turn) * across,
]
const [middleX, middleZ] = jettyAt(length / 2, 0)
const deck = box([middleX, 0.72, middleZ], [0.95, 0.07, length / 2], turn, ([x, , z], axis) =>
  scale(WOOD, axis === 1 ? plank(z + 40, 0.34, 7) * grain(x * 2, z * 14, 3) : 0.55),
)
const jettyPosts = Array.from({ length: 10 }, (_, index) => {
  const [x, z] = jettyAt(1.2 + 2.7 * (index >> 1), index % 2 ? 0.95 : -0.95)
  return box([x, 0.5, z], [0.11, 0.85, 0.11], turn, ([u, y]) =>
    scale(WOOD, 0.8 * grain(u * 20, y * 4, index)),
  )
})

const fencePosts = Array.from({ length: 9 }, (_, index) => [
  2.6 + 2.3 * index,
  11.4 + 0.75 * index + 0.2 * hash(index, 3, 1),
])
const posts = fencePosts.map(([x, z], index) =>
  box([x, height(x, z) + 0.5, z], [0.08, 0.65, 0.08], 0.3, ([u, y]) =>
    scale([0.5, 0.43, 0.35], grain(u * 20, y * 5, index)),
  ),
)
const rails = fencePosts.slice(1).flatMap(([x, z], index) => {
  const [a, b] = fencePosts[index]
  const [ya, yb] = [height(a, b), height(x, z)]
  return [0.45, 0.9].map((up) =>
    box(
      [(a + x) / 2, (ya + yb) / 2 + up, (b + z) / 2],
      [Math.hypot(x - a, z - b) / 2, 0.055, 0.03],
      -Math.atan2(z - b, x - a),
      ([u, y]) => scale([0.5, 0.43, 0.35], grain(u * 3, y * 30, index + 50)),
    ),
  )
})

export const built = [body, roof, chimney, deck, ...jettyPosts, ...posts, ...rails]
/** Places without trees: [x, z, radius]. */
export const CLEARINGS = [[CABIN.x, CABIN.z, 6.5]]
