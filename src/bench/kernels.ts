/**
 * Each kind of step of a model alone, at its real shapes, relative to the limits of the machine.
 * Options: --size B --seconds 0.5 --build auto --dtype f32
 */
import { isInt8 } from '../backend/wasm/encode.ts'
import { configOf, type Size } from '../model/config.ts'
import { recordModel } from '../model/graph.ts'
import { flopsOf } from '../program/listing.ts'
import { outputsOf, type Step, sizeOf } from '../program/program.ts'
import { type Monitor, part, unmonitored } from './lib/bench.ts'
import { copyLimit, int8Limit, type Limit, productLimit } from './lib/limits.ts'
import { machineFacts } from './lib/machineFacts.ts'
import { type Options, oneOf, settingsOf, sizesOf } from './lib/options.ts'
import { buildOf, dtypes } from './lib/randomModel.ts'
import type { Report, Table } from './lib/report.ts'
import { inTurn, Runner } from './lib/runner.ts'
import { median } from './lib/stats.ts'
import { arithmeticOf, kindOf, trafficOf } from './lib/steps.ts'

/** Steps of one kind. */
interface Measured {
  readonly step: Step
  readonly count: number
  /** Of one step. */
  readonly ms: number
  /** Of the limit, in samples taken in turn. */
  readonly share: number
}

/**
 * Returns for each kind of step: milliseconds, GFLOP/s (of int8, GOP/s) or GB/s, and the share of
 * the limit, which is measured in the same run. Products are relative to a product in the L1 cache.
 */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  const settings = settingsOf(options, { size: 'B', seconds: 0.5, build: 'auto', dtype: 'f32' })
  const { seconds } = settings
  const [size] = sizesOf(settings.size) as [Size]
  const dtype = oneOf('dtype', settings.dtype, dtypes)
  const build = await buildOf(settings.build, dtype)
  // An int8 model has products of float32, too: operations of both kinds are counted.
  const unit = dtype === 'int8' ? 'GOP/s' : 'GFLOP/s'
  const product = await productLimit(build, seconds)
  const int8Product = dtype === 'int8' ? await int8Limit(build, seconds) : undefined
  const copy = await copyLimit(size, build, seconds)

  const { steps } = recordModel(configOf(size), {
    b: 1,
    t: 1,
    pixels: 'f32',
    recent: 'all',
    dtype,
    encoded: false,
  })
  // Steps with the same sizes and epilogue are one kind. The last block has its own kinds, because
  // it computes only the class token.
  const kinds = new Map<string, Step[]>()
  for (const step of steps) {
    const kind = `${kindOf(step)} ${shapeOf(step)}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), step])
  }
  const measured: Measured[] = []
  const rates = new Map<Limit, number[]>()
  for (const [index, same] of [...kinds.values()].entries()) {
    if (monitor.signal.aborted) break
    const step = same[0]!
    const limit = (isInt8(step) && int8Product) || (flopsOf(step) > 0 ? product : copy)
    const runner = await Runner.create(step, build, seconds)
    const [ms, limitMs] = await inTurn(runner, limit, seconds, part(monitor, index, kinds.size))
    runner.dispose()
    const rate = limit.work / limitMs / 1e6
    rates.set(limit, [...(rates.get(limit) ?? []), rate])
    const work = limit === copy ? trafficOf(step) : flopsOf(step)
    measured.push({ step, count: same.length, ms, share: work / ms / 1e6 / rate })
  }
  for (const limit of [product, int8Product, copy]) limit?.dispose()
  const medianOf = (limit: Limit) => median(rates.get(limit) ?? [NaN])
  const limitRow = (what: string, unit: string, limit: Limit) => ({
    what,
    ...(rates.has(limit) && { [unit]: medianOf(limit) }),
  })
  const [peak, bandwidth] = [medianOf(int8Product ?? product), medianOf(copy)]
  const whole = timeOf(measured)
  const products = measured.filter(({ step: { op } }) => op === 'linear' || op === 'blockLinear')
  return {
    bench: 'kernels',
    facts: { ...machineFacts(product.device), size, dtype },
    tables: [
      {
        title: 'Limits of the machine (shares below are relative to samples taken in turn)',
        rows: [
          limitRow('product in the L1 cache', unit, product),
          ...(int8Product ? [limitRow('int8 product in the L1 cache', unit, int8Product)] : []),
          limitRow('copy of the tokens of a frame', 'GB/s', copy),
          ...totalRow('all products of a frame', unit, products),
          ...(int8Product
            ? totalRow(
                'int8 products of a frame',
                unit,
                products.filter(({ step }) => isInt8(step)),
              )
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
            ...(flopsOf(step) > 0 && { [unit]: flopsOf(step) / ms / 1e6 }),
            'GB/s': trafficOf(step) / ms / 1e6,
            [flopsOf(step) > 0 ? '% of peak' : '% of copy']: 100 * share,
          })),
      },
    ],
    ...(peak > 0 &&
      bandwidth > 0 && {
        roofline: {
          unit,
          peak,
          bandwidth,
          points: measured
            // Under a roof of int8, products of float32 would seem slow.
            .filter(({ step }) => !int8Product || isInt8(step) || flopsOf(step) === 0)
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

/** Returns the milliseconds of all steps. */
const timeOf = (measured: readonly Measured[]): number =>
  measured.reduce((sum, { count, ms }) => sum + count * ms, 0)

/** Returns a row for products together, or none if there are none. */
function totalRow(what: string, unit: string, products: readonly Measured[]): Table['rows'] {
  const ms = timeOf(products)
  const sumOf = (value: (product: Measured) => number) =>
    products.reduce((sum, product) => sum + value(product), 0)
  if (!products.length) return []
  return [
    {
      what: `${what}, ${ms.toFixed(0)} ms`,
      [unit]: sumOf(({ step, count }) => count * flopsOf(step)) / ms / 1e6,
      '% of peak': (100 * sumOf((product) => product.count * product.ms * product.share)) / ms,
    },
  ]
}

/** Returns "rows × k → n" for products, else the shape of the output. */
function shapeOf(step: Step): string {
  const { shape } = outputsOf(step)[0]!
  if (step.op !== 'linear' && step.op !== 'blockLinear') return shape.join('×')
  const rows = sizeOf(shape.slice(0, -1))
  const { blocks, rows: k, columns } = step.weights.kernel
  return `${rows} × ${blocks > 1 ? `${blocks}·` : ''}${k} → ${columns}`
}
