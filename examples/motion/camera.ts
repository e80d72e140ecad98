/** A camera over a drawn scene, and its moves. Angles are unit vectors: no sine is computed. */
import type { Random } from '../../src/train/random.ts'
import { between, direction } from './paint.ts'

/** The classes, in the order of the model's labels. The label is what the camera does. */
export const LABELS = [
  'static',
  'pan left',
  'pan right',
  'tilt up',
  'tilt down',
  'zoom in',
  'zoom out',
  'roll clockwise',
  'roll counterclockwise',
  'shake',
] as const

/** One of the classes. */
export type Label = (typeof LABELS)[number]

/** Where a camera is. Lengths are in texels, y points down. */
export interface Pose {
  readonly x: number
  readonly y: number
  /** Cosine and sine of the angle by which the camera is turned clockwise. */
  readonly turn: readonly [number, number]
  /** Side of the view in texels. */
  readonly width: number
}

/** A move: changes of each frame, in the camera's own frame. */
export interface Move {
  readonly label: Label
  /** Pan to the right and tilt down, in widths of the view. */
  readonly pan: number
  readonly tilt: number
  /** Factor of the width of the view: below 1 zooms in. */
  readonly zoom: number
  /** Turn clockwise, in radians. */
  readonly roll: number
  /** Largest jitter, in widths of the view, and how much of it is kept from frame to frame. */
  readonly shake: number
  readonly kept: number
}

/**
 * Draws a move of a class. Speeds a frame: pan and tilt 0.4 to 5 % of the width of the view, zoom
 * 0.5 to 3 %, roll 0.3° to 3.4°, shake 0.6 to 5 %.
 */
export function drawMove(random: Random, label: Label): Move {
  const u = random.uniform()
  const speed = (least: number, most: number) => least + (most - least) * u * u
  const hand = random.uniform() < 0.3 ? between(random, 0, 0.0012) : 0
  const still = { label, pan: 0, tilt: 0, zoom: 1, roll: 0, shake: hand, kept: 0 }
  const drift = random.uniform() < 0.3 && label !== 'static' && label !== 'shake'
  const moved = drift ? { ...still, ...asides(random, label) } : still
  switch (label) {
    case 'static':
      return still
    case 'pan left':
      return { ...moved, pan: -speed(0.004, 0.05) }
    case 'pan right':
      return { ...moved, pan: speed(0.004, 0.05) }
    case 'tilt up':
      return { ...moved, tilt: -speed(0.004, 0.05) }
    case 'tilt down':
      return { ...moved, tilt: speed(0.004, 0.05) }
    case 'zoom in':
      return { ...moved, zoom: 1 - speed(0.005, 0.03) }
    case 'zoom out':
      return { ...moved, zoom: 1 + speed(0.005, 0.03) }
    case 'roll clockwise':
      return { ...moved, roll: speed(0.0052, 0.06) }
    case 'roll counterclockwise':
      return { ...moved, roll: -speed(0.0052, 0.06) }
    case 'shake':
      return { ...still, shake: speed(0.006, 0.05), kept: between(random, 0, 0.4) }
  }
}

/** Returns small changes besides the move of a class. */
function asides(random: Random, label: Label): Partial<Move> {
  const aside = () => between(random, -0.0008, 0.0008)
  const isTurn = /^(zoom|roll)/.test(label)
  return isTurn ? { pan: aside(), tilt: aside() } : { zoom: 1 + aside(), roll: aside() }
}

/** A camera that makes one move after another. */
export class Camera {
  readonly #random: Random
  readonly #quantum: number
  #pose: Pose
  #jitter: readonly [number, number] = [0, 0]

  /** @param quantum step of positions in widths of the view, as of filters of whole pixels; or 0 */
  constructor(random: Random, pose: Pose, quantum: number) {
    this.#random = random
    this.#pose = pose
    this.#quantum = quantum
  }

  /** Where the camera is, with its jitter, from whole steps. */
  get pose(): Pose {
    const { x, y, turn, width } = this.#pose
    const step = this.#quantum * width
    const place = (value: number) => (step > 0 ? Math.round(value / step) * step : value)
    const [right, down] = this.#jitter
    const [c, s] = turn
    return {
      turn,
      width,
      x: place(x + (c * right - s * down) * width),
      y: place(y + (s * right + c * down) * width),
    }
  }

  /** Makes the move of one frame. */
  move({ pan, tilt, zoom, roll, shake, kept }: Move): void {
    const { x, y, turn, width } = this.#pose
    const [c, s] = turn
    // The rational form of a rotation: cos = (1 − t²)/(1 + t²), sin = 2t/(1 + t²), t = tan(roll/2).
    const t = roll / 2 + roll ** 3 / 24
    const [cos, sin] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)]
    this.#pose = {
      x: x + (c * pan - s * tilt) * width,
      y: y + (s * pan + c * tilt) * width,
      turn: [c * cos - s * sin, s * cos + c * sin],
      width: width * zoom,
    }
    const [dx, dy] = direction(this.#random)
    const far = shake * Math.sqrt(this.#random.uniform())
    this.#jitter = [
      this.#jitter[0] * kept + dx * far * (1 - kept),
      this.#jitter[1] * kept + dy * far * (1 - kept),
    ]
  }
}
