/**
 * Worker of the compare page: the benches of the package, and onnxruntime-web with the same
 * weights.
 */

import { type Ort, openOnnx } from '../../bench/peers/onnx.ts'
import { takeTurns } from '../../bench/peers/turns.ts'
import { bench as frame } from '../../src/bench/frame.ts'
import { bench as growth } from '../../src/bench/growth.ts'
import { bench as kernels } from '../../src/bench/kernels.ts'
import { type Monitor, part } from '../../src/bench/lib/bench.ts'
import { buildOf } from '../../src/bench/lib/randomModel.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import { writeModel } from '../../src/onnx/model.ts'
import { importOptional } from '../../src/platform/platform.ts'
import type { CompareReply, CompareRequest, CompareSettings, Part } from './compareMessages.ts'

/** Folder of onnxruntime-web, if it was installed. */
const ORT = new URL('ort/', self.location.href).href
const STEP = { graph: 'step', frames: 1, dtype: 'f32', attention: 'fused' } as const
const MISSING =
  'onnxruntime-web is not beside this page: run "npm ci --prefix bench/peers --ignore-scripts" ' +
  'in a clone, then "npm run demo".'

const post = (reply: CompareReply) => postMessage(reply)
let stop = new AbortController()

addEventListener('message', ({ data }: MessageEvent<CompareRequest>) => {
  if (data.type === 'stop') stop.abort()
  else void run(data.settings)
})

async function run(settings: CompareSettings): Promise<void> {
  const { signal } = (stop = new AbortController())
  let reportedAt = 0
  for (const [index, name] of settings.parts.entries()) {
    if (signal.aborted) break
    const progress = (share: number) => {
      // At most ten reports of progress per second.
      if (performance.now() - reportedAt < 100) return
      reportedAt = performance.now()
      post({ type: 'progress', part: name, share })
    }
    try {
      const report = await measure(
        name,
        settings,
        part({ signal, progress }, index, settings.parts.length),
      )
      if (report.tables.some(({ rows }) => rows.length)) post({ type: 'report', report })
    } catch (error) {
      post({ type: 'error', text: error instanceof Error ? error.message : String(error) })
    }
  }
  post({ type: 'done', stopped: signal.aborted })
}

async function measure(
  name: Part,
  { size, build, threads, seconds }: CompareSettings,
  monitor: Monitor,
): Promise<Report> {
  const options = { build, seconds: String(seconds) }
  switch (name) {
    case 'kernels':
      return kernels({ ...options, size }, monitor)
    case 'frame':
      return frame({ ...options, size, threads: String(threads) }, monitor)
    case 'growth':
      return growth({ ...options, threads: String(threads) }, monitor)
    case 'peer': {
      const ort = await loadOrt()
      // Frames of larger models take longer. This is about the number of frames that fits.
      const rounds = Math.max(5, Math.round((seconds * 30) / { Ti: 0.15, S: 0.5, B: 2 }[size]))
      return takeTurns(
        'onnxruntime-web',
        {
          size,
          threads,
          build: await buildOf(build),
          dtype: 'f32',
          most: 1,
          rounds: Math.min(100, rounds),
        },
        (config, weights) => openOnnx(ort, 'wasm', writeModel(config, weights, STEP), threads),
        monitor,
      )
    }
  }
}

async function loadOrt(): Promise<Ort> {
  const response = await fetch(`${ORT}ort.wasm.min.mjs`, { method: 'HEAD' }).catch(() => null)
  if (!response?.ok) throw new Error(MISSING)
  const ort = (await importOptional(`${ORT}ort.wasm.min.mjs`)) as Ort
  ort.env.wasm.wasmPaths = ORT
  return ort
}
