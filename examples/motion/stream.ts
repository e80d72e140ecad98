/** Streams and clips of drawn scenes: frames, and what the camera does in each. */
import { Random } from '../../src/train/random.ts'
import { Camera, drawMove, LABELS, type Move, type Pose } from './camera.ts'
import { between, colour, direction, SIZE } from './paint.ts'
import { Sensor, showsClearly } from './sensor.ts'
import { drawTexture, type Texture } from './texture.ts'

/** Side of the frames of the built-in model, in pixels. */
export const VIEW = 96
/** Texels of a view that are a pixel of such a frame. */
const DENSITY = { least: 0.7, most: 3 }

/** Share of streams of one colour. What the camera does there cannot be seen: it is static. */
const BLANK = 0.04

/** Frames, and the class of the camera's motion in each. */
export interface Stream {
  /** [t, view, view, 3] */
  readonly frames: Uint8Array
  /** Class of each frame: the motion since the frame before. */
  readonly labels: Uint8Array
  /** Number of frames since the motion changed, or since the stream began. */
  readonly ages: Uint8Array
}

/** A part of the scene that moves by itself. */
interface Subject {
  x: number
  y: number
  readonly velocity: readonly [number, number]
  readonly half: readonly [number, number]
  readonly isRound: boolean
  /** From where in the texture its pixels are. */
  readonly from: readonly [number, number]
  readonly tint: readonly number[]
}

/** What a stream shows first, and how. */
interface Look {
  readonly texture: Texture
  readonly pose: Pose
  readonly sensor: Sensor | undefined
}

/** Options of a source of streams. */
export interface StreamSourceOptions {
  readonly view?: number
  readonly perScene?: number
  readonly scenes?: number
  readonly plain?: boolean
}

/**
 * Draws streams without end. A scene is drawn once for several streams, which show other parts of
 * it. Only + − × ÷ and √ of float64, rounding and integers are used: every runtime draws the same
 * pixels.
 * @example
 * const source = new StreamSource(1)
 * const { frames, labels } = source.draw(64)
 */
export class StreamSource {
  readonly #random: Random
  readonly #view: number
  readonly #plain: boolean
  readonly #perScene: number
  readonly #most: number
  /** The newest scenes, the newest one last. */
  readonly #textures: Texture[] = []
  #left = 0

  /**
   * @param seed an integer, 0 to 2³² − 1
   * @param options.view side of a frame in pixels, at least 32
   * @param options.perScene streams for which one new scene is drawn
   * @param options.scenes how many of the newest scenes are kept; a stream shows one of them
   * @param options.plain clear pictures: no blur, noise, compression or moving subjects
   */
  constructor(
    seed: number,
    { view = VIEW, perScene = 4, scenes = 1, plain = false }: StreamSourceOptions = {},
  ) {
    this.#random = new Random(seed)
    this.#view = view
    this.#plain = plain
    this.#perScene = perScene
    this.#most = scenes
  }

  /**
   * Draws a stream.
   * @param count frames
   * @param label the class of all its frames; without it, the motion changes every 12 to 44 frames,
   * and some streams show one colour
   */
  draw(count: number, label?: number): Stream {
    const random = this.#random
    if (!this.#plain && label === undefined && random.uniform() < BLANK)
      return this.#drawBlank(count)
    if (this.#left-- <= 0) {
      this.#drawScene()
      this.#left = this.#perScene - 1
    }
    const quantum = !this.#plain && random.uniform() < 0.35 ? between(random, 0.0005, 0.006) : 0
    const blur = !this.#plain && random.uniform() < 0.25 ? 1 + random.below(2) : 0
    const size = this.#view * this.#view * 3
    const frames = new Uint8Array(count * size)
    const { texture, pose, sensor } = this.#look(random, blur, frames.subarray(0, size))
    const camera = new Camera(random, pose, quantum)
    const labels = new Uint8Array(count)
    const ages = new Uint8Array(count)
    let [left, age, move] = [0, 0, undefined as Move | undefined]
    let subjects: Subject[] = []
    for (let i = 0; i < count; i++, left--, age++) {
      if (!move || (left <= 0 && label === undefined)) {
        move = drawNext(random, move, camera.pose.width, label)
        ;[left, age] = [12 + random.below(33), 0]
        subjects = this.#plain ? [] : drawSubjects(random, camera.pose, move)
      }
      // The first frame is before the first move.
      if (i > 0) camera.move(move)
      for (const subject of subjects) {
        subject.x += subject.velocity[0]
        subject.y += subject.velocity[1]
      }
      const frame = frames.subarray(i * size, (i + 1) * size)
      render(texture, camera.pose, subjects, blur, frame, this.#view)
      sensor?.apply(frame)
      labels[i] = LABELS.indexOf(move.label)
      ages[i] = Math.min(255, age)
    }
    return { frames, labels, ages }
  }

  /** Draws a stream of one colour, with the noise of a sensor. */
  #drawBlank(count: number): Stream {
    const random = this.#random
    const shown = colour(random).map(Math.round)
    const size = this.#view * this.#view * 3
    const frames = Uint8Array.from({ length: count * size }, (_, i) => shown[i % 3]!)
    const sensor = new Sensor(random, this.#view)
    for (let i = 0; i < count; i++) sensor.apply(frames.subarray(i * size, (i + 1) * size))
    return {
      frames,
      labels: new Uint8Array(count),
      ages: Uint8Array.from({ length: count }, (_, i) => Math.min(255, i)),
    }
  }

  /** Chooses a scene, a pose and a sensor which show something. */
  #look(random: Random, blur: number, frame: Uint8Array): Look {
    let texture = this.#chooseScene()
    for (let tries = 0; ; tries++) {
      if (tries % 8 === 7) texture = this.#isFull ? this.#chooseScene() : this.#drawScene()
      const pose = drawPose(random)
      const sensor = this.#plain ? undefined : new Sensor(random, this.#view)
      render(texture, pose, [], blur, frame, this.#view)
      const shows = sensor ? sensor.shows(frame) : showsClearly(frame, this.#view)
      if (shows || tries === 64) return { texture, pose, sensor }
    }
  }

  /** Whether there are several scenes to choose from. */
  get #isFull(): boolean {
    return this.#most > 1 && this.#textures.length === this.#most
  }

  #chooseScene(): Texture {
    const { length } = this.#textures
    return this.#textures[length > 1 ? this.#random.below(length) : 0]!
  }

  /** Draws a scene, which takes the place of the oldest one. */
  #drawScene(): Texture {
    const texture = drawTexture(this.#random)
    this.#textures.push(texture)
    if (this.#textures.length > this.#most) this.#textures.shift()
    return texture
  }
}

function drawPose(random: Random): Pose {
  const turn = random.uniform() < 0.5 ? ([1, 0] as const) : direction(random)
  const width = VIEW * between(random, DENSITY.least, DENSITY.most)
  return { x: between(random, 0, SIZE), y: between(random, 0, SIZE), turn, width }
}

/** Draws another move. The width of the view stays within limits. */
function drawNext(random: Random, last: Move | undefined, width: number, label?: number): Move {
  if (label !== undefined) return drawMove(random, LABELS[label]!)
  for (;;) {
    const next = LABELS[random.below(LABELS.length)]!
    const leaves = (next === 'zoom in' && width < 67) || (next === 'zoom out' && width > 336)
    if (next !== last?.label && !leaves) return drawMove(random, next)
  }
}

/** Draws none to three subjects in the view. They are larger and more frequent if it is static. */
function drawSubjects(random: Random, { x, y, width }: Pose, { label }: Move): Subject[] {
  const isStatic = label === 'static'
  if (random.uniform() > (isStatic ? 0.7 : 0.35)) return []
  return Array.from({ length: 1 + random.below(3) }, () => {
    const [dx, dy] = direction(random)
    const speed = width * between(random, 0.002, 0.04)
    const size = width * between(random, 0.03, isStatic ? 0.22 : 0.14)
    return {
      x: x + width * between(random, -0.4, 0.4),
      y: y + width * between(random, -0.4, 0.4),
      velocity: [dx * speed, dy * speed] as const,
      half: [size, size * between(random, 0.5, 1.5)] as const,
      isRound: random.uniform() < 0.6,
      from: [random.below(SIZE), random.below(SIZE)] as const,
      tint: [0, 1, 2].map(() => Math.round(between(random, -90, 90))),
    }
  })
}

/** Renders a frame: bilinear samples of the level that suits the scale. */
function render(
  { levels }: Texture,
  { x, y, turn, width }: Pose,
  subjects: readonly Subject[],
  blur: number,
  frame: Uint8Array,
  view: number,
): void {
  const scale = width / view
  let level = blur + (scale >= 4 ? 2 : scale >= 1.6 ? 1 : 0)
  level = Math.min(level, levels.length - 1)
  const data = levels[level]!
  const size = SIZE >> level
  const mask = size - 1
  // Steps of a pixel in texels of the level, in 1/256.
  const unit = 256 / 2 ** level
  const precise = [turn[0] * scale * unit, turn[1] * scale * unit] as const
  const half = view / 2
  let at = 0
  for (let row = 0; row < view; row++) {
    const v = row + 0.5 - half
    const u = 0.5 - half
    let tx = x * unit + precise[0] * u - precise[1] * v - 128
    let ty = y * unit + precise[1] * u + precise[0] * v - 128
    for (let column = 0; column < view; column++) {
      const fx = Math.floor(tx)
      const fy = Math.floor(ty)
      const i = (fx >> 8) & mask
      const j = (fy >> 8) & mask
      const upper = j * size
      const lower = ((j + 1) & mask) * size
      const next = (i + 1) & mask
      let a = 3 * (upper + i)
      let b = 3 * (upper + next)
      let c = 3 * (lower + i)
      let d = 3 * (lower + next)
      // Weights of the four texels, which add up to 2¹⁶.
      const wx = fx & 255
      const wy = fy & 255
      const wd = wx * wy
      const wc = (wy << 8) - wd
      const wb = (wx << 8) - wd
      const wa = 65536 - wd - wc - wb
      for (let k = 0; k < 3; k++)
        frame[at++] = (data[a++]! * wa + data[b++]! * wb + data[c++]! * wc + data[d++]! * wd) >> 16
      tx += precise[0]
      ty += precise[1]
    }
  }
  for (const subject of subjects)
    renderSubject(levels[0]!, { x, y, turn, width }, subject, frame, view)
}

function renderSubject(
  data: Uint8ClampedArray,
  { x, y, turn, width }: Pose,
  subject: Subject,
  frame: Uint8Array,
  view: number,
): void {
  const scale = width / view
  const [c, s] = [turn[0] * scale, turn[1] * scale]
  const [a, b] = subject.half
  const [fromX, fromY] = subject.from
  const [red, green, blue] = subject.tint
  for (let row = 0, at = 0; row < view; row++) {
    const v = row + 0.5 - view / 2
    for (let column = 0; column < view; column++, at += 3) {
      const u = column + 0.5 - view / 2
      const dx = x + c * u - s * v - subject.x
      const dy = y + s * u + c * v - subject.y
      if (dx > a || dx < -a || dy > b || dy < -b) continue
      if (subject.isRound && (dx / a) ** 2 + (dy / b) ** 2 > 1) continue
      const texel =
        3 * ((Math.floor(dy + fromY) & (SIZE - 1)) * SIZE + (Math.floor(dx + fromX) & (SIZE - 1)))
      frame[at] = clamp(data[texel]! + red!)
      frame[at + 1] = clamp(data[texel + 1]! + green!)
      frame[at + 2] = clamp(data[texel + 2]! + blue!)
    }
  }
}

function clamp(value: number): number {
  return Math.min(255, Math.max(0, value))
}
