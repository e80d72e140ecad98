/** Regular clients. Each repeats until the test ends, and checks every answer. */
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

const agent = new Agent({ keepAlive: true, maxSockets: Infinity })
const text = new TextEncoder()

/** One request: its status and text. Rejects if the connection breaks. */
function post(base, path, headers, body) {
  return new Promise((resolve, reject) => {
    const sent = request(
      `http://${base}${path}`,
      { method: 'POST', headers, agent },
      async (response) => {
        try {
          const parts = []
          for await (const part of response) parts.push(part)
          resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() })
        } catch (error) {
          reject(error)
        }
      },
    )
    sent.on('error', (error) => {
      // A server may close a connection that is idle at the moment when it is used again.
      if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(post(base, path, headers, body))
      else reject(error)
    })
    sent.end(body)
  })
}

/** Videos by POST: bytes alone, or JSON with bytes behind it. */
export async function requester({ base, report, running }, { video, t, logits }, i) {
  const json = text.encode(
    JSON.stringify({
      id: `${i}`,
      outputs: [{ name: 'logits' }],
      parameters: { timeout: 1 },
      inputs: [
        {
          name: 'frames',
          datatype: 'UINT8',
          shape: [1, t, 96, 96, 3],
          parameters: { binary_data_size: video.length },
        },
      ],
    }),
  )
  const [length, body] = i % 2 ? [json.length, Buffer.concat([json, video])] : [0, video]
  const path = `/v2/models/builtin${i % 3 ? '' : '/versions/1'}/infer`
  const headers = { 'Inference-Header-Content-Length': length, 'Content-Length': body.length }
  while (running()) {
    const begin = performance.now()
    const answer = await post(base, path, headers, body).catch((error) => ({ error }))
    if (answer.error) report.broken('request', answer.error.code, performance.now() - begin)
    else if (answer.status === 503) report.count('503')
    else if (answer.status !== 200)
      report.wrong(`request: ${answer.status} ${answer.text.slice(0, 200)}`)
    else {
      const { outputs, id } = JSON.parse(answer.text)
      const isRight = String(outputs[0].data) === String(logits) && (id ?? `${i}`) === `${i}`
      if (isRight) report.count('requests', performance.now() - begin)
      else report.wrong(`request: other logits than the library's for a video of ${t} frames`)
    }
    if (answer.status !== 200) await sleep(1000)
  }
}

/** Streams, opened again and again; each keeps `ahead` frames under way. */
export async function streamer({ base, report, running }, { opening, frames, lines }, i) {
  const ahead = 1 + (i % 3)
  while (running()) {
    const socket = new WebSocket(`ws://${base}/v2/models/builtin/stream`)
    const refused = await new Promise((resolve) => {
      socket.on('open', () => resolve(null))
      socket.on('unexpected-response', (_, { statusCode }) => resolve(statusCode))
      socket.on('error', (error) => resolve(error.code ?? error.message))
    })
    if (refused !== null) {
      if (refused === 503) report.count('503')
      else if (typeof refused === 'number') report.wrong(`stream: ${refused}`)
      else report.broken('stream', refused, 0)
      socket.terminate()
      await sleep(1000)
      continue
    }
    await converse(socket, report, { opening, frames, lines }, ahead)
  }
}

/** One stream to its end; resolves when it is closed. */
async function converse(socket, report, { opening, frames, lines }, ahead) {
  let sent = 0
  let got = 0
  const times = []
  const send = () => {
    times.push(performance.now())
    socket.send(frames[sent++])
  }
  socket.on('message', (data) => {
    const { frame, probs, error } = JSON.parse(data)
    const want = lines[got]
    if (error !== undefined) report.wrong(`stream: ${error}`)
    else if (frame !== want.frame || String(probs) !== String(want.probs))
      report.wrong(`stream: another answer than the library's to frame ${got}`)
    else report.count('frames', performance.now() - times[got])
    got++
    if (sent < frames.length) send()
    else if (got === frames.length) socket.close(1000)
  })
  socket.send(JSON.stringify(opening))
  while (sent < Math.min(ahead, frames.length)) send()
  const code = await new Promise((resolve) => socket.on('close', resolve))
  // 1001: the server is being shut down, and has answered what had come.
  if (code === 1000 || code === 1001) return
  report.broken('stream', code, 1000)
}
