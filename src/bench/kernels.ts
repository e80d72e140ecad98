/**
 * Each kind of step of a model alone, at its real shapes, relative to the limits of the machine.
 * Options: --size B --seconds 0.5 --build auto
 */
import { configOf, type Size } from '../model/config.ts'
import { recordModel } from '../model/graph.ts'
import { flopsOf } from '../program/listing.ts'
import { outputsOf, type Step, sizeOf, type Tensor } from '../program/program.ts'
import { Recorder } from '../program/record.ts'
import { type Monitor, part, unmonitored } from './lib/bench.ts'
import { machineFacts } from './lib/machineFacts.ts'
import { type Options, settingsOf, sizesOf } from './lib/options.ts'
import { buildOf } from './lib/randomModel.ts'
import type { Report } from './lib/report.ts'
import { inTurn, Runner } from './lib/runner.ts'
import { median } from './lib/stats.ts'
import { arithmeticOf, kindOf, trafficOf } from './lib/steps.ts'

/**
 * Returns for each kind of step: milliseconds, GFLOP/s or GB/s, and the share of the peak, which is
 * measured in the same run in the L1 cache.
 */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  const settings = settingsOf(options, { size: 'B', seconds: 0.5, build: 'auto' })
  const [size] = sizesOf(settings.size) as [Size]
  const build = await buildOf(settings.build)
  const [kernel, copy] = [
    await Runner.create(microKernel(), build, settings.seconds),
    await Runner.create(copyOf(size), build, settings.seconds),
  ]
  const rateOf = (milliseconds: number) => trafficOf(copy.step) / milliseconds / 1e6
  const peakOf = (milliseconds: number) => flopsOf(kernel.step) / milliseconds / 1e6

  const { steps } = recordModel(configOf(size), {
    b: 1,
    t: 1,
    pixels: 'f32',
    recent: 'all',
    encoded: false,
  })
  // Steps with the same sizes and epilogue are one kind. The last block has its own kinds, because
  // it computes only the class token.
  const kinds = new Map<string, Step[]>()
  for (const step of steps) {
    const kind = `${kindOf(step)} ${shapeOf(step)}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), step])
  }
  const measured: { step: Step; count: number; ms: number; share: number }[] = []
  const [peaks, rates] = [[] as number[], [] as number[]]
  for (const [index, same] of [...kinds.values()].entries()) {
    if (monitor.signal.aborted) break
    const step = same[0]!
    const limit = flopsOf(step) > 0 ? kernel : copy
    const runner = await Runner.create(step, build, settings.seconds)
    const [ms, limitMs] = await inTurn(
      runner,
      limit,
      settings.seconds,
      part(monitor, index, kinds.size),
    )
    runner.dispose()
    ;(limit === kernel ? peaks : rates).push(limitMs)
    const share =
      limit === kernel
        ? flopsOf(step) / ms / 1e6 / peakOf(limitMs)
        : trafficOf(step) / ms / 1e6 / rateOf(limitMs)
    measured.push({ step, count: same.length, ms, share })
  }
  const [peak, bandwidth] = [
    peakOf(peaks.length ? median(peaks) : NaN),
    rateOf(rates.length ? median(rates) : NaN),
  ]
  const whole = measured.reduce((sum, { count, ms }) => sum + count * ms, 0)
  const products = measured.filter(({ step: { op } }) => op === 'linear' || op === 'blockLinear')
  const productMs = products.reduce((sum, { count, ms }) => sum + count * ms, 0)
  return {
    bench: 'kernels',
    facts: { ...machineFacts(kernel.backend.device), size },
    tables: [
      {
        title: 'Limits of the machine (shares below are relative to samples taken in turn)',
        rows: [
          {
            what: 'product within the first-level cache',
            ...(peaks.length && { 'GFLOP/s': peak }),
          },
          { what: 'copy of the tokens of a frame', ...(rates.length && { 'GB/s': bandwidth }) },
          ...(products.length
            ? [
                {
                  what: `all products of a frame, ${productMs.toFixed(0)} ms`,
                  'GFLOP/s':
                    products.reduce((sum, { step, count }) => sum + count * flopsOf(step), 0) /
                    productMs /
                    1e6,
                  '% of peak':
                    (100 *
                      products.reduce((sum, { count, ms, share }) => sum + count * ms * share, 0)) /
                    productMs,
                },
              ]
            : []),
        ],
      },
      {
        title: `Steps of a frame of ${size}, each alone, with what is fused into them`,
        rows: measured
          .sort((one, other) => other.count * other.ms - one.count * one.ms)
          .map(({ step, count, ms, share }) => ({
            operation: kindOf(step),
            shape: shapeOf(step),
            steps: count,
            ms,
            'all ms': count * ms,
            ...(flopsOf(step) > 0 && { 'GFLOP/s': flopsOf(step) / ms / 1e6 }),
            'GB/s': trafficOf(step) / ms / 1e6,
            [flopsOf(step) > 0 ? '% of peak' : '% of copy']: 100 * share,
          })),
      },
    ],
    ...(peaks.length > 0 &&
      rates.length > 0 && {
        roofline: {
          peak,
          bandwidth,
          points: measured
            .filter(({ step }) => arithmeticOf(step) > 0)
            .map(({ step, count, ms }) => ({
              label: `${kindOf(step)} ${shapeOf(step)}`,
              intensity: arithmeticOf(step) / trafficOf(step),
              rate: arithmeticOf(step) / ms / 1e6,
              share: (count * ms) / whole,
            })),
        },
      }),
    verdict: null,
  }
}

/**
 * Returns a product that stays in the L1 cache: two panels of 512 × 8 and 200 rows at one address.
 */
function microKernel(): Step {
  const [rows, k, n] = [200, 512, 16]
  const ops = new Recorder(
    1,
    1,
    new Map([['panel', { name: 'panel', kind: 'matrix', blocks: 1, rows: k, columns: n }]]),
  )
  const x: Tensor = {
    buffer: { name: 'row', dtype: 'f32', size: k },
    offset: 0,
    shape: [1, 1, rows, k],
    stride: 0,
  }
  ops.linear('product', x, 'panel')
  return ops.end({}).steps[0]!
}

/** Returns a step that copies a frame: patches of one line each are rows of pixels. */
function copyOf(size: Size): Step {
  const { width } = configOf(size)
  const ops = new Recorder(1, 1, new Map())
  ops.patchify(
    'copy',
    {
      buffer: { name: 'pixels', dtype: 'f32', size: 197 * width },
      offset: 0,
      shape: [1, 1, 197, width / 3, 3],
      stride: 3,
    },
    { lead: 0, patchSize: [1, width / 3] },
  )
  return ops.end({}).steps[0]!
}

/** Returns "rows × k → n" for products, else the shape of the output. */
function shapeOf(step: Step): string {
  const { shape } = outputsOf(step)[0]!
  if (step.op !== 'linear' && step.op !== 'blockLinear') return shape.join('×')
  const rows = sizeOf(shape.slice(0, -1))
  const { blocks, rows: k, columns } = step.weights.kernel
  return `${rows} × ${blocks > 1 ? `${blocks}·` : ''}${k} → ${columns}`
}
