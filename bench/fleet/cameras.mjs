/**
 * Simulates many cameras over many servers and one Redis, from measured costs (live.mjs). Frames
 * come at fixed intervals; a server answers them in turn and saves states at the pace of the server
 * (src/cli/serve/sequences/pace.ts). After a while one server is lost: its cameras go to others,
 * which load the states and compute again what was not saved. Prints the table of
 * docs/live-streams.md.
 *
 *     node bench/fleet/cameras.mjs [NAME=VALUE ...]
 */
const costs = {
  /** Processor time in milliseconds of a frame, a save in the server, and a save in Redis. */
  frame: 1.4,
  save: 0.85,
  redis: 0.7,
  /** Milliseconds that a server needs to load a state. */
  load: 4,
  /** Bytes of a state. */
  state: 314_000,
  fps: 25,
  /** Share of its time that a server computes. */
  load_factor: 0.7,
}
for (const argument of process.argv.slice(2)) {
  const [name, value] = argument.split('=')
  if (!(name in costs && Number(value) > 0)) throw new Error(`unknown ${argument}`)
  costs[name] = Number(value)
}
const [SHARE, LEAST, MOST] = [0.03, 8, 64]
const SECONDS = 12
/** Second in which a server is lost. */
const LOST = 6

let seed = 1
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32
const quantile = (values, q) => values.sort((a, b) => a - b)[Math.floor(q * (values.length - 1))]

function simulate(count) {
  const { frame, save, redis, load, state, fps, load_factor: factor } = costs
  const due = Math.ceil((save + redis) / (SHARE * frame))
  const interval = Math.min(MOST, Math.max(LEAST, due))
  const perFrame = frame + save / interval
  const servers = Math.max(2, Math.ceil((count * fps * perFrame) / (1000 * factor)))
  const period = 1000 / fps
  /** Times at which each server, and Redis, has done its work. */
  const free = new Float64Array(servers)
  let redisFree = 0
  let redisBusy = 0
  let isBlocked = false
  const cameras = Array.from({ length: count }, (_, index) => ({
    phase: random() * period,
    server: index % servers,
    unsaved: Math.floor(random() * interval),
    /** When it finds another server, after the loss. */
    back: 0,
  })).sort((a, b) => a.phase - b.phase)
  const before = []
  let caughtUp = 0
  for (let tick = 0; tick < (SECONDS * 1000) / period; tick++)
    for (const camera of cameras) {
      const now = tick * period + camera.phase
      const isLost = now >= LOST * 1000
      if (isLost && camera.server === 0) {
        // The connection breaks; the next attempt follows within 100 ms.
        camera.back ||= LOST * 1000 + random() * 100
        camera.unsaved++
        if (now < camera.back) continue
        camera.server = 1 + Math.floor(random() * (servers - 1))
        redisFree = Math.max(redisFree, now) + redis
        const start = Math.max(free[camera.server], redisFree)
        free[camera.server] = start + load + camera.unsaved * frame
        caughtUp = Math.max(caughtUp, free[camera.server] - LOST * 1000)
        continue
      }
      const { server } = camera
      free[server] = Math.max(free[server], now) + frame
      if (!isLost) before.push(free[server] - now)
      if (++camera.unsaved < interval) continue
      // A save that waits for Redis holds no frame back. It counts as saved once it is written.
      free[server] += save
      redisFree = Math.max(redisFree, now) + redis
      redisBusy += redis
      if (redisFree - now > 1000) isBlocked = true
      camera.unsaved = 0
    }
  const saves = (count * fps) / interval
  return {
    cameras: count,
    servers,
    'frames a save': interval,
    'saves/s': Math.round(saves),
    'state traffic MB/s': Math.round((saves * state) / 1e6),
    'Redis memory GB': Number(((count * state) / 1e9).toFixed(2)),
    'Redis busy %': Math.round(redisBusy / SECONDS / 10),
    'Redis keeps up': isBlocked ? 'no' : 'yes',
    'p99 ms': Number(quantile(before, 0.99).toFixed(1)),
    'caught up after ms': Math.round(caughtUp),
  }
}

console.table([100, 1000, 3000, 10_000].map(simulate))
