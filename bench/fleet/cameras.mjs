/**
 * Simulates many cameras over many servers and their Redis, from measured costs. Frames come at
 * fixed intervals. A server computes them in passes: a core one frame after another, a GPU the
 * frames that wait, up to one of each slot. It saves states at the pace of the server
 * (src/cli/serve/sequences/pace.ts). After a while one server is lost: its cameras go to others,
 * which load the states and compute again what was not saved. Prints the tables of
 * docs/live-capacity.md.
 *
 *     node bench/fleet/cameras.mjs [cpu|gpu|gpuF16|gpuWithoutSaves [NAME=VALUE ...]]
 */
const machines = {
  /** The built-in model on one core: live.mjs. */
  cpu: {
    /** Milliseconds of a pass, by its number of frames. */
    passes: [[1, 1.4]],
    /** Milliseconds of processor time of a save in the server, and in Redis. */
    save: 0.85,
    redis: 0.7,
    /** Milliseconds that a server needs to load a state. */
    load: 4,
    /** Bytes of a state, and of a frame as clients send it: here RGB, below JPEG. */
    state: 314_000,
    frame: 27_648,
  },
  /**
   * Size B in float32 on an H200. Measured: passes of 1 and 4 streams and of chunks of 8 and 16
   * frames, with two under way (bench/results/2026-11-28-h200/speed.txt). Assumed: 8 and 16 streams
   * take what a chunk of as many frames takes; the costs of a save grow with its bytes; it holds up
   * the passes of its server; and a state is loaded in the time of a save.
   */
  gpu: {
    passes: [
      [1, 3.88],
      [4, 10.57],
      [8, 18.8],
      [16, 36.2],
    ],
    save: 157,
    redis: 129,
    load: 157,
    state: 58_000_000,
    frame: 14_000,
  },
}
/** Half the bytes; converting them takes the server the time that writing them saves. */
machines.gpuF16 = { ...machines.gpu, redis: 65, state: 29_000_000 }
/** Streams without ids. */
machines.gpuWithoutSaves = { ...machines.gpu, save: 0, redis: 0, load: 0, state: 0 }
/** Frames a second of a camera, and share of its time that a server computes and saves. */
const [FPS, BUSY] = [25, 0.7]
/** Of pace.ts: largest share of the time, and fewest frames between two saves. */
const [SHARE, LEAST] = [0.03, 8]
/** Bytes of frames after which a state is saved anyway: half of what a client keeps by default. */
const ROOM = 2 ** 26 / 2
const SECONDS = 12
/** Second in which a server is lost. */
const LOST = 6

let seed = 1
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32
const quantile = (values, q) => values.sort((a, b) => a - b)[Math.floor(q * (values.length - 1))]

/** Returns the milliseconds of a pass of so many frames, between the measured ones. */
function passOf(passes, frames) {
  const at = passes.findIndex(([count]) => count >= frames)
  const [[n, time], [before, timeBefore]] = [passes[at], passes[at - 1] ?? [0, 0]]
  return timeBefore + ((time - timeBefore) * (frames - before)) / (n - before)
}

/** A server that computes the frames that wait in passes. */
class Server {
  free = 0
  #waiting = []
  #first = 0

  constructor(passes, onAnswer) {
    this.passes = passes
    this.slots = passes.at(-1)[0]
    this.onAnswer = onAnswer
  }

  /** Begins the passes before a time. */
  advance(now) {
    while (this.#first < this.#waiting.length) {
      const start = Math.max(this.free, this.#waiting[this.#first])
      if (start > now) return
      let count = 0
      while (count < this.slots && this.#waiting[this.#first + count] <= start) count++
      this.free = start + passOf(this.passes, count)
      for (let i = 0; i < count; i++) this.onAnswer(this.#waiting[this.#first++], this.free)
    }
    this.#waiting.length = this.#first = 0
  }

  push(now) {
    this.advance(now)
    this.#waiting.push(now)
  }

  /** Does other work, after what has begun. */
  work(now, milliseconds) {
    this.advance(now)
    this.free = Math.max(this.free, now) + milliseconds
  }
}

function simulate(count, { passes, save, redis, load, state, frame: bytes }) {
  const [slots, whole] = passes.at(-1)
  const frame = whole / slots
  const due = Math.ceil((save + redis) / (SHARE * frame))
  const interval = Math.min(Math.floor(ROOM / bytes), Math.max(LEAST, due))
  const perFrame = frame + save / interval
  const size = Math.max(2, Math.ceil((count * FPS * perFrame) / (1000 * BUSY)))
  const period = 1000 / FPS
  const before = []
  const onAnswer = (from, to) => to < LOST * 1000 && before.push(to - from)
  const servers = Array.from({ length: size }, () => new Server(passes, onAnswer))
  let [redisFree, redisBusy, caughtUp] = [0, 0, 0]
  const store = (now) => {
    redisFree = Math.max(redisFree, now) + redis
    redisBusy += redis
  }
  const cameras = Array.from({ length: count }, (_, index) => ({
    phase: random() * period,
    server: index % size,
    unsaved: Math.floor(random() * interval),
    /** When it finds another server, after the loss. */
    back: 0,
  })).sort((a, b) => a.phase - b.phase)
  for (let tick = 0; tick < (SECONDS * 1000) / period; tick++)
    for (const camera of cameras) {
      const now = tick * period + camera.phase
      if (now >= LOST * 1000 && camera.server === 0) {
        // The connection breaks; the next attempt follows within 100 ms.
        camera.back ||= LOST * 1000 + random() * 100
        camera.unsaved++
        if (now < camera.back) continue
        camera.server = 1 + Math.floor(random() * (size - 1))
        store(now)
        const server = servers[camera.server]
        server.work(Math.max(now, redisFree), load + camera.unsaved * passOf(passes, 1))
        caughtUp = Math.max(caughtUp, server.free - LOST * 1000)
        continue
      }
      servers[camera.server].push(now)
      if (++camera.unsaved < interval) continue
      // A save that waits for Redis holds no frame back. It counts as saved once it is written.
      servers[camera.server].work(now, save)
      store(now)
      camera.unsaved = 0
    }
  const saves = (count * FPS) / interval
  return {
    cameras: count,
    servers: size,
    'frames a save': interval,
    'saving, % of computing': Math.round((100 * save) / interval / frame),
    'saves/s': Math.round(saves),
    'state traffic MB/s': Math.round((saves * state) / 1e6),
    'Redis memory GB': Number(((count * state) / 1e9).toFixed(2)),
    'Redis busy %': Math.round(redisBusy / SECONDS / 10),
    'p99 ms': Number(quantile(before, 0.99).toFixed(1)),
    'caught up after ms': Math.round(caughtUp),
  }
}

const [only, ...given] = process.argv.slice(2)
for (const [name, machine] of Object.entries(machines)) {
  if ((only ?? name) !== name) continue
  for (const argument of given) {
    const [key, value] = argument.split('=')
    if (!(typeof machine[key] === 'number' && Number(value) > 0))
      throw new Error(`unknown ${argument}`)
    machine[key] = Number(value)
  }
  console.log(name)
  console.table([100, 1000, 3000, 10_000].map((count) => simulate(count, machine)))
}
