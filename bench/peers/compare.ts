/**
 * Compares another runtime with this one: same weights and frames, one step per frame with carried
 * state, alternating in one process.
 * --peer web|node|tfjs|jax-js --size B --rounds 15 (more for smaller sizes) --threads 1 (of both)
 * --build simd --dtype f32 --attention fused|plain (onnxruntime) --most 1
 */
import { type Monitor, unmonitored } from '../../src/bench/lib/bench.ts'
import { type Options, oneOf, settingsOf, sizesOf } from '../../src/bench/lib/options.ts'
import { buildOf, dtypes } from '../../src/bench/lib/randomModel.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import type { Config, Size } from '../../src/model/config.ts'
import { writeModel } from '../../src/onnx/model.ts'
import type { Weights } from '../../src/onnx/weights.ts'
import { type Ort, openOnnx } from './onnx.ts'
import type { Peer } from './peer.ts'
import { takeTurns } from './turns.ts'

const STEP = { graph: 'step', frames: 1, dtype: 'f32' } as const

interface Kind {
  /** Name of the package. */
  readonly name: string
  open(
    config: Config,
    weights: Weights,
    options: { readonly threads: number; readonly attention: 'fused' | 'plain' },
  ): Promise<Peer>
}

const peers: Readonly<Record<string, Kind>> = {
  web: {
    name: 'onnxruntime-web',
    open: async (config, weights, { threads, attention }) =>
      openOnnx(
        (await import('onnxruntime-web')) as unknown as Ort,
        'wasm',
        writeModel(config, weights, { ...STEP, attention }),
        threads,
      ),
  },
  node: {
    name: 'onnxruntime-node',
    open: async (config, weights, { threads, attention }) =>
      openOnnx(
        (await import('onnxruntime-node')) as unknown as Ort,
        'cpu',
        writeModel(config, weights, { ...STEP, attention }),
        threads,
      ),
  },
  tfjs: {
    name: 'tfjs-backend-wasm',
    open: async (config, weights, { threads }) =>
      (await import('./tfjs.ts')).openTfjs(config, weights, threads),
  },
  'jax-js': {
    name: 'jax-js',
    open: async (config, weights) => (await import('./jax.ts')).openJax(config, weights),
  },
}

/** Fails if the logits differ, or if our relative time exceeds `--most`. */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  const { threads, rounds, ...settings } = settingsOf(options, {
    peer: 'web',
    size: 'B',
    rounds: 0,
    threads: 1,
    build: 'simd',
    dtype: 'f32',
    attention: 'fused',
    most: '1',
  })
  const [size] = sizesOf(settings.size) as [Size]
  const attention = oneOf('attention', settings.attention, ['fused', 'plain'])
  const { name, open } = peers[oneOf('peer', settings.peer, Object.keys(peers))]!
  const dtype = oneOf('dtype', settings.dtype, dtypes)
  const turns = {
    size,
    threads,
    build: await buildOf(settings.build, dtype),
    dtype,
    most: Number(settings.most),
    ...(rounds && { rounds }),
  }
  const report = await takeTurns(
    name,
    turns,
    (config, weights) => open(config, weights, { threads, attention }),
    monitor,
  )
  return {
    ...report,
    facts: { ...report.facts, ...(name.startsWith('onnx') && { 'its attention': attention }) },
  }
}
