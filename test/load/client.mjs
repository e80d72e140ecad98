/**
 * The clients of the load test, in a process of their own: `node client.mjs HOST:PORT`, forked. It
 * sends "ready" once it knows the answers. It starts at the message "go". "ending" announces the
 * end of the server. It sends its counts after "stop".
 */
import { knownAnswers } from './answers.mjs'
import { hostileClient } from './hostileClients.mjs'
import { requester, streamer } from './regularClients.mjs'

const CLIENTS = 200
const HOSTILE = 40
/** Milliseconds in which a busy server may not have read what was sent. */
const UNREAD = 1000

const [, , base] = process.argv
const counts = {}
const seconds = { requests: [], frames: [] }
const wrong = []
let running = true
let ending = Infinity

const report = {
  count(what, milliseconds) {
    counts[what] = (counts[what] ?? 0) + 1
    seconds[what]?.push(milliseconds / 1000)
  },
  wrong(sentence) {
    if (wrong.length < 20) wrong.push(sentence)
    counts.wrong = (counts.wrong ?? 0) + 1
  },
  /**
   * A connection that broke. A server that ends closes connections on which nothing is under way;
   * what a client has just sent on one may not have been read. For all else it is wrong.
   * @param milliseconds since something was asked for
   */
  broken(what, why, milliseconds) {
    const begin = performance.now() - milliseconds
    if (begin > ending - UNREAD) report.count('refused at the end')
    else report.wrong(`${what}: the connection broke (${why}) after ${milliseconds.toFixed(0)} ms`)
  },
}

const client = { base, report, running: () => running }
const { streams, videos } = await knownAnswers()
const commands = {
  go() {
    for (let i = 0; i < CLIENTS; i++) {
      if (i < HOSTILE) void hostileClient(client, i)
      else if (i % 2) void streamer(client, streams[i % streams.length], i)
      else void requester(client, videos[i % videos.length], i)
    }
  },
  ending() {
    ending = performance.now()
  },
  stop() {
    running = false
    const quantile = (values, q) =>
      values.sort((a, b) => a - b)[Math.floor(q * values.length)] ?? null
    const latency = Object.fromEntries(
      Object.entries(seconds).map(([what, values]) => [
        what,
        [quantile(values, 0.5), quantile(values, 0.99)],
      ]),
    )
    process.send({ counts, wrong, latency }, () => process.exit())
  },
}
process.on('message', (command) => commands[command]())
process.send('ready')
