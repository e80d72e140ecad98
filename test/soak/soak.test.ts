/**
 * Streams and models under random interleavings of use and faults. After every command what is alive
 * belongs to what is open; every accepted frame is answered once, in order, with the bits (CPU) or
 * within the bound (GPU) of a stream that nothing happened to; every rejection is a TrecvitError.
 *
 * SOAK sets the number of commands (2,000 by default), SOAK_SEED the seed. A failure prints the seed,
 * the path and the shortest list of commands that fast-check found.
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
import { configOf, TRecViT } from '../../src/index.ts'
import { gpu } from '../gpu.ts'
import { commands, counts } from './commands.ts'
import { openGpu, World } from './world.ts'

// Only what is still referred to counts.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes in use after a collection of garbage, by JavaScript and beside it. */
async function usedMemory(): Promise<number> {
  collect()
  await sleep(10)
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external
}

const wanted = Number(process.env['SOAK'] ?? 2000)
const seed = Number(process.env['SOAK_SEED'] ?? 20261128)
const path = process.env['SOAK_PATH']

test(`${wanted} commands`, async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-soak-'))
  const file = join(folder, 'model.safetensors')
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 5 })
  writeFileSync(file, await checkpointBytes(randomCheckpoint(config, 5)))
  // On the caller's own thread, where no worker can die.
  const reference = await TRecViT.load(file, { device: 'wasm', deterministic: true, workerUrl: new URL('data:text/javascript,process.exit(3)') })
  const fragileGpu = openGpu(gpu !== null)
  const memory: number[] = []
  const total = () => [...counts.values()].reduce((sum, count) => sum + count, 0)
  const start = Date.now()
  let told = start
  // Seconds of the watchdog pass ten times as fast, so that a silent worker is found.
  const clock = setTimeout(function tick() {
    vi.advanceTimersByTime(1000)
    clock.refresh()
  }, 100)
  try {
    for (let round = 0; total() < wanted; round++) {
      await fc.assert(fc.asyncProperty(commands, async (list) => {
        const world = await World.open(file, reference, fragileGpu)
        try {
          await fc.asyncModelRun(() => ({ model: {}, real: world }), list)
        } finally {
          await world.close()
        }
      }), { numRuns: 1, seed: seed + round, endOnFailure: true, ...(path && { path }) })
      memory.push(await usedMemory())
      if (Date.now() - told > 10_000) {
        told = Date.now()
        const left = ((told - start) / total()) * (wanted - total()) / 1000
        console.log(`${total()} commands, seed ${seed + round}, ${Math.ceil(left)} s left`)
      }
    }
  } finally {
    clearTimeout(clock)
    vi.useRealTimers()
    await reference.dispose()
    rmSync(folder, { recursive: true })
  }
  console.log(`${total()} commands in ${memory.length} runs, seeds ${seed} to ${seed + memory.length - 1}, ${Math.round((Date.now() - start) / 1000)} s`)
  for (const [name, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`  ${String(count).padStart(7)} ${name}`)
  const quarter = Math.floor(memory.length / 4)
  if (quarter < 4) return
  const least = (part: readonly number[]) => Math.min(...part) / 1e6
  const [early, late] = [least(memory.slice(quarter, 2 * quarter)), least(memory.slice(-quarter))]
  console.log(`memory: ${early.toFixed(0)} MB in the second quarter of the runs, ${late.toFixed(0)} MB in the last`)
  expect(late).toBeLessThan(1.2 * early + 20)
}, 24 * 3_600_000)
