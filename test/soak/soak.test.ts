// @module-tag slow
/**
 * Streams and models under random sequences of use and faults. After each command, all live
 * resources belong to open objects. Each accepted frame has one result, in order. It is
 * bit-identical (CPU) to that of an undisturbed stream, or within the error bound (GPU). Each
 * rejection is a TrecvitError.
 *
 * SOAK sets the number of commands (2,000 by default), SOAK_SEED the seed (`npm run soak` sets
 * both). A failure prints the seed and the commands that led to it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { checkpointBytes, randomCheckpoint } from '../../src/bench/lib/weights.ts'
import { configOf } from '../../src/index.ts'
import { gpu } from '../gpu.ts'
import { commands, counts } from './commands.ts'
import { loadReference, openGpu, World } from './world.ts'

// Allows garbage collection, so that only referenced memory is counted.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Returns the bytes in use after a garbage collection, by JavaScript and outside of it. */
async function usedMemory(): Promise<number> {
  collect()
  await sleep(10)
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const wanted = Number(process.env['SOAK'] ?? 2000)
/** One of this many runs has a GPU: a software GPU is slow. */
const GPU_EVERY = 4
const seed = Number(process.env['SOAK_SEED'] ?? 20261128)

test(`${wanted} commands`, { timeout: 24 * 3_600_000 }, async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-soak-'))
  const file = join(folder, 'model.safetensors')
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 5 })
  writeFileSync(file, await checkpointBytes(randomCheckpoint(config, 5)))
  const reference = await loadReference(file)
  const fragileGpu = openGpu(gpu !== null)
  const memory: number[] = []
  const total = () => [...counts.values()].reduce((sum, count) => sum + count, 0)
  const start = Date.now()
  let reportedAt = start
  // The watchdog's seconds pass in 20 ms, so that a silent worker is detected soon.
  const clock = setTimeout(() => {
    vi.advanceTimersByTime(1000)
    clock.refresh()
  }, 20)
  try {
    for (let round = 0; total() < wanted; round++) {
      await fc.assert(
        fc.asyncProperty(commands, async (list) => {
          const world = await World.open(
            file,
            reference,
            (seed + round) % GPU_EVERY ? null : fragileGpu,
          )
          try {
            await fc.asyncModelRun(() => ({ model: {}, real: world }), list)
          } finally {
            await world.close()
          }
        }),
        { numRuns: 1, seed: seed + round, endOnFailure: true },
      )
      memory.push(await usedMemory())
      if (Date.now() - reportedAt > 10_000) {
        reportedAt = Date.now()
        const left = (((reportedAt - start) / total()) * (wanted - total())) / 1000
        console.log(`${total()} commands, seed ${seed + round}, ${Math.ceil(left)} s left`)
      }
    }
  } finally {
    clearTimeout(clock)
    vi.useRealTimers()
    await reference.dispose()
    rmSync(folder, { recursive: true })
  }
  const quarter = Math.floor(memory.length / 4)
  const least = (part: readonly number[]) => Math.min(...part) / 1e6
  const [early, late] = [least(memory.slice(quarter, 2 * quarter)), least(memory.slice(-quarter))]
  const report = {
    commands: total(),
    runs: memory.length,
    seeds: [seed, seed + memory.length - 1],
    seconds: Math.round((Date.now() - start) / 1000),
    gpu: gpu !== null,
    memory: [early, late],
    counts: Object.fromEntries([...counts].sort(([, a], [, b]) => b - a)),
  }
  console.log(JSON.stringify(report, null, 1))
  if (process.env['SOAK_REPORT']) writeFileSync(process.env['SOAK_REPORT'], JSON.stringify(report))
  if (quarter >= 4) expect(late).toBeLessThan(1.2 * early + 20)
})
