/**
 * Compares another runtime with this one: same weights and frames, one step per frame with carried
 * state, alternating in one process.
 * --peer web|node|tfjs|jax-js --size B --rounds 15 (more for smaller sizes) --threads 1 (of both)
 * --build simd --dtype f32 --attention fused|plain (onnxruntime) --most 1
 */
import type { MatrixDType } from '../../src/backend/backend.ts'
import { type Monitor, unmonitored } from '../../src/bench/lib/bench.ts'
import { type Options, oneOf, settingsOf, sizesOf } from '../../src/bench/lib/options.ts'
import { buildOf } from '../../src/bench/lib/randomModel.ts'
import type { Report } from '../../src/bench/lib/report.ts'
import type { Config, Size } from '../../src/model/config.ts'
import { Graph } from '../../src/onnx/graph.ts'
import { writeModel } from '../../src/onnx/model.ts'
import type { Weights } from '../../src/onnx/weights.ts'
import { type Ort, openOnnx } from './onnx.ts'
import type { Peer } from './peer.ts'
import { QuantizedGraph } from './quantizedGraph.ts'
import { takeTurns } from './turns.ts'

const STEP = { graph: 'step', frames: 1, dtype: 'f32' } as const

interface Kind {
  /** Name of the package. */
  readonly name: string
  open(
    config: Config,
    weights: Weights,
    options: {
      readonly threads: number
      readonly attention: 'fused' | 'plain'
      readonly dtype: MatrixDType
    },
  ): Promise<Peer>
}

const peers: Readonly<Record<string, Kind>> = {
  web: {
    name: 'onnxruntime-web',
    open: async (config, weights, { threads, ...style }) =>
      openOnnx(
        (await import('onnxruntime-web')) as unknown as Ort,
        'wasm',
        graphOf(config, weights, style),
        threads,
      ),
  },
  node: {
    name: 'onnxruntime-node',
    open: async (config, weights, { threads, ...style }) =>
      openOnnx(
        (await import('onnxruntime-node')) as unknown as Ort,
        'cpu',
        graphOf(config, weights, style),
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

/** Returns the graph of a step, with int8 a quantised one. */
function graphOf(
  config: Config,
  weights: Weights,
  { attention, dtype }: { readonly attention: 'fused' | 'plain'; readonly dtype: MatrixDType },
): Graph {
  const to = dtype === 'int8' ? new QuantizedGraph() : new Graph()
  return writeModel(config, weights, { ...STEP, attention }, to)
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
  const dtype = oneOf('dtype', settings.dtype, name.startsWith('onnx') ? ['f32', 'int8'] : ['f32'])
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
    (config, weights) => open(config, weights, { threads, attention, dtype }),
    monitor,
  )
  return {
    ...report,
    facts: { ...report.facts, ...(name.startsWith('onnx') && { 'its attention': attention }) },
  }
}
