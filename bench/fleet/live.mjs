/**
 * Costs of a saved state, in processor time: of a frame, of a snapshot and its write in the server,
 * and of the write in Redis. Processor time depends less than wall time on what else the machine
 * does. Rounds alternate; medians. The input of cameras.mjs. Needs a build and redis-server.
 *
 *     node bench/fleet/live.mjs [ROUNDS]
 */
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { TRecViT } from '../../dist/index.js'
import { startRedis } from '../../test/fleet/redis.mjs'

const ROUNDS = Number(process.argv[2] ?? 7)
const COUNT = 200
/** Largest share of the time of a stream, as in src/cli/serve/sequences/pace.ts. */
const SHARE = 0.03
/** Milliseconds of a tick of /proc. */
const TICK = 10
/** The script of src/cli/serve/sequences/redisStore.ts. */
const SAVE = `
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'frame', ARGV[2], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`

const redis = await startRedis()
const client = new Redis(redis.port)
await client.hset('stream', 'token', 't')
const model = await TRecViT.load('builtin', { device: 'wasm', deterministic: true, threads: 1 })
const stream = model.stream()
const frame = { data: new Uint8Array(96 * 96 * 3).fill(50), shape: [96, 96, 3] }
let state

/** Milliseconds of processor time of one call in this process. */
async function ownTime(work) {
  const before = process.cpuUsage()
  for (let i = 0; i < COUNT; i++) await work(i)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / COUNT
}

function redisTime() {
  const fields = readFileSync(`/proc/${redis.pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return TICK * (Number(fields[11]) + Number(fields[12]))
}

const works = {
  frame: () => stream.push(frame),
  snapshot: async () => (state = await stream.snapshot()),
  write: (i) => client.eval(SAVE, 1, 'stream', 't', i, Buffer.from(state.buffer), 86_400_000),
}
const times = { frame: [], snapshot: [], write: [], redis: [] }
for (let round = 0; round <= ROUNDS; round++)
  for (const [name, work] of Object.entries(works)) {
    const before = redisTime()
    const time = await ownTime(work)
    // The first round compiles.
    if (round === 0) continue
    times[name].push(time)
    if (name === 'write') times.redis.push((redisTime() - before) / COUNT)
  }

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
const costs = Object.fromEntries(
  Object.entries(times).map(([name, values]) => [name, Number(median(values).toFixed(2))]),
)
const save = costs.snapshot + costs.write + costs.redis
console.log(`milliseconds of processor time: ${JSON.stringify(costs)}, ${state.length} bytes`)
console.log(`a save every ${Math.ceil(save / (SHARE * costs.frame))} frames is 3 %`)
client.disconnect()
await model.dispose()
await redis.kill()
process.exit()
