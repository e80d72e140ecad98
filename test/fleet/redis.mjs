/** Starts Redis on a free port of loopback, with its files in a temporary folder. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

/** Whether redis-server is installed. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** @param {string[]} more arguments of redis-server */
export async function startRedis(...more) {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-redis-'))
  const port = await freePort()
  let child
  const start = async () => {
    const own = ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', '']
    child = spawn('redis-server', [...own, '--appendonly', 'yes', ...more], { stdio: 'ignore' })
    for (let isUp = false; !isUp; await sleep(50)) {
      const client = new Redis(port, { lazyConnect: true, retryStrategy: () => null })
      client.on('error', () => {})
      isUp = await client.connect().then(
        () => true,
        () => false,
      )
      client.disconnect()
      if (more.includes('--requirepass')) isUp = true
    }
  }
  const kill = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  process.on('exit', () => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    start,
    kill,
    get pid() {
      return child.pid
    },
  }
}
