/** The movements of the camera over time: the ground truth of the clip. */
export const FPS = 30

/** Number of frames in which a movement accelerates and slows down. */
const EASE = 4

/**
 * Movements: a label of the built-in model, a length in frames, and a size. Sizes of pan, tilt and
 * roll are in degrees; the size of zoom is a factor.
 */
const MOVES = [
  { label: 'static', frames: 36 },
  { label: 'pan right', frames: 42, by: 19 },
  { label: 'zoom in', frames: 39, by: 1.8 },
  { label: 'static', frames: 30 },
  { label: 'tilt up', frames: 39, by: 11 },
  { label: 'roll clockwise', frames: 36, by: 17 },
  { label: 'roll counterclockwise', frames: 36, by: 17 },
  { label: 'tilt down', frames: 39, by: 11 },
  { label: 'zoom out', frames: 39, by: 1.8 },
  { label: 'pan left', frames: 42, by: 19 },
  { label: 'shake', frames: 36, by: 1.2 },
  { label: 'static', frames: 36 },
]

/** First pose of the camera in degrees; `view` is its horizontal angle of view. */
const START = { pan: -9, tilt: 2.5, roll: 0, view: 60 }

/** Label, first and last frame of each movement. */
export const segments = []
/** Pose of each frame, in degrees. */
export const poses = []

/** Returns the completed share of a movement after `frame` of its frames. */
function done(frame, frames) {
  const speedUntil = (at) => (at < EASE ? (at * at) / (2 * EASE) : at - EASE / 2)
  const whole = frames - EASE
  const left = frames - frame
  return left < EASE ? 1 - speedUntil(left) / whole : speedUntil(frame) / whole
}

/** Returns a random shift: no drift, and never the same twice. */
const jitter = (frame, seed) =>
  Math.sin(frame * 2.4 + seed) + 0.7 * Math.sin(frame * 1.7 + 2 * seed)

let pose = START
for (const { label, frames, by } of MOVES) {
  const first = poses.length
  const [kind, way] = label.split(' ')
  const sign = ['left', 'down', 'counterclockwise'].includes(way) ? -1 : 1
  const at = (frame) => {
    const share = done(frame, frames)
    if (kind === 'zoom') return { ...pose, view: pose.view * by ** (way === 'in' ? -share : share) }
    if (kind === 'shake')
      return {
        ...pose,
        pan: pose.pan + by * jitter(frame, 1),
        tilt: pose.tilt + by * jitter(frame, 4),
      }
    return kind === 'static' ? pose : { ...pose, [kind]: pose[kind] + sign * by * share }
  }
  for (let frame = 1; frame <= frames; frame++) poses.push(at(frame))
  if (kind !== 'shake') pose = poses.at(-1)
  segments.push({ label, first, last: poses.length - 1 })
}
