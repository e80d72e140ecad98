/**
 * 200 clients of `trecvit serve` at once, 40 of them hostile, for a minute; then SIGTERM while they
 * go on. Passes if no answer is wrong, no status is 5xx but 503, the event loop of the server keeps
 * turning, its memory is flat, and it ends in time. Needs a build.
 *
 *     node test/load/run.mjs [SECONDS]
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const SECONDS = Number(process.argv[2] ?? 60)
/** Seconds after which threads have started and code is compiled. */
const WARM_UP = 4
/** Of the server, in seconds. */
const TIMEOUT = 8
/** Seconds: the 99th percentile of the time between two turns of a timer of 10 ms. */
const LOOP = 0.02
/** The same relative to an idle process beside it: other work shares the machine. */
const BUSY = 1.5
/** Niceness of the clients, which stand for other machines. */
const NICE = 10
/** Memory in the last third of the time, relative to that in the first, and bytes beside it. */
const GROWTH = [1.1, 32e6]

const file = (path) => fileURLToPath(new URL(path, import.meta.url))
const options = [
  '--port',
  '0',
  '--deterministic',
  '--json',
  '--max-body',
  '8',
  '--timeout',
  `${TIMEOUT}`,
]
const server = spawn(process.execPath, [file('../../dist/cli/index.js'), 'serve', ...options], {
  stdio: ['ignore', 'pipe', 'pipe'],
})
process.on('exit', () => server.kill('SIGKILL'))
let stderr = ''
server.stderr.on('data', (part) => (stderr += part))
const ended = once(server, 'exit')
const [first] = await once(server.stdout, 'data')
const base = new URL(JSON.parse(first).address).host

const client = spawn('nice', ['-n', `${NICE}`, process.execPath, file('client.mjs'), base], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
})
process.on('exit', () => client.kill('SIGKILL'))
client.on('exit', (code) => {
  if (code === 0) return
  console.log(`FAIL the clients ended with code ${code}`)
  process.exit(1)
})
const nextMessage = async () => (await once(client, 'message'))[0]
await nextMessage()
client.send('go')
await sleep(WARM_UP * 1000)

/** The metrics of the server by name; the delays of its event loop since the last call. */
async function scrape() {
  const text = await (await fetch(`http://${base}/metrics`)).text()
  return new Map(
    text
      .split('\n')
      .filter((line) => /^[a-z]/.test(line))
      .map((line) => {
        const space = line.lastIndexOf(' ')
        return [line.slice(0, space), Number(line.slice(space + 1))]
      }),
  )
}

// What the rest of the machine does to a process that only waits.
const idle = monitorEventLoopDelay({ resolution: 10 })
idle.enable()
await scrape()
const memory = []
for (let second = WARM_UP; second < SECONDS; second++) {
  await sleep(1000)
  memory.push(
    1024 * Number(execFileSync('ps', ['-o', 'rss=', '-p', `${server.pid}`], { encoding: 'utf8' })),
  )
}
const metrics = await scrape()
const control = idle.percentile(99) / 1e9
client.send('ending')
const begin = performance.now()
server.kill('SIGTERM')
const [code] = await ended
const toEnd = (performance.now() - begin) / 1000
const results = nextMessage()
client.send('stop')
const { counts, wrong, latency } = await results

const third = Math.ceil(memory.length / 3)
const peaks = [Math.max(...memory.slice(0, third)), Math.max(...memory.slice(-third))]
const loop = metrics.get('nodejs_eventloop_lag_p99_seconds')
const bad = [...metrics]
  .filter(([name, count]) => count && /^trecvit_http_requests_total\{.*status="5(?!03)/.test(name))
  .map(([name]) => name)
const failures = [
  ...wrong,
  ...bad,
  ...(counts.requests > 0 && counts.frames > 0 && counts.hostile > 0
    ? []
    : ['somebody was never served']),
  ...(loop < Math.max(LOOP, BUSY * control) ? [] : [`the event loop took ${1000 * loop} ms`]),
  ...(peaks[1] <= GROWTH[0] * peaks[0] + GROWTH[1]
    ? []
    : [`the memory grew from ${peaks[0]} to ${peaks[1]} bytes`]),
  ...(toEnd < TIMEOUT + 2 ? [] : [`the end took ${toEnd} s`]),
  ...(code === 130 ? [] : [`the exit code was ${code}`]),
  ...(stderr === '' ? [] : [`the server said: ${stderr.slice(0, 2000)}`]),
]
for (const failure of failures) console.log(`wrong: ${failure}`)
const ms = ([p50, p99]) => `${(1000 * p50).toFixed(0)}/${(1000 * p99).toFixed(0)} ms`
console.log(
  [
    failures.length ? 'FAIL' : 'ok  ',
    `200 clients, ${SECONDS} s:`,
    `${counts.requests} requests (p50/p99 ${ms(latency.requests)}), ` +
      `${counts.frames} frames (${ms(latency.frames)}),`,
    `${counts.hostile} hostile acts, ${counts['503'] ?? 0} times 503, ${counts.wrong ?? 0} wrong;`,
    `event loop p99 ${(1000 * loop).toFixed(1)} ms (of an idle process ` +
      `${(1000 * control).toFixed(1)} ms), max ` +
      `${(1000 * metrics.get('nodejs_eventloop_lag_max_seconds')).toFixed(0)} ms;`,
    `memory ${peaks.map((bytes) => (bytes / 1e6).toFixed(0)).join(' to ')} MB; ` +
      `ended in ${toEnd.toFixed(1)} s`,
  ].join(' '),
)
process.exit(failures.length ? 1 : 0)
