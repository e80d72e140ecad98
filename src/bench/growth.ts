/**
 * The time of a frame for larger models and longer use: tokens, width, streams, frames seen.
 * Options: --seconds 1 --threads 1 --build auto --dtype f32
 */
import { type Config, configOf, tokensOf } from '../model/config.ts'
import { flopsOf } from '../program/listing.ts'
import { type Monitor, part, shouldContinue, unmonitored } from './lib/bench.ts'
import { machineFacts } from './lib/machineFacts.ts'
import { type Options, oneOf, settingsOf } from './lib/options.ts'
import {
  buildOf,
  createRandomModel,
  dtypes,
  type RandomModel,
  type RandomModelOptions,
  randomFrame,
} from './lib/randomModel.ts'
import type { Report, Table } from './lib/report.ts'
import { median, time, warm } from './lib/stats.ts'

const SIDES = [64, 128, 192, 256, 320]
const WIDTHS = [96, 192, 384, 768]
const STREAMS = [1, 2, 4, 8, 16]
const FRAMES = [1, 10, 100, 1000, 10_000]

/** Returns a configuration as wide as Ti, with two layers: every layer costs the same. */
const small = (changes: Partial<Config> = {}): Config =>
  configOf('Ti', { depth: 2, numClasses: 10, ...changes })

/** Returns four tables. Each has the time relative to its first row. */
export async function bench(options: Options, monitor: Monitor = unmonitored): Promise<Report> {
  const settings = settingsOf(options, { seconds: 1, threads: 1, build: 'auto', dtype: 'f32' })
  const dtype = oneOf('dtype', settings.dtype, dtypes)
  const build = await buildOf(settings.build, dtype)
  const modelOptions = { threads: settings.threads, build, dtype }
  const measure = (configs: readonly Config[], share: number) =>
    costs(configs, modelOptions, settings.seconds, part(monitor, share, 4))

  const byTokens = await measure(
    SIDES.map((side) => small({ imageSize: [side, side] })),
    0,
  )
  const byWidth = await measure(
    WIDTHS.map((width) => small({ width, lruWidth: width, mlpDim: 4 * width })),
    1,
  )
  const tables = [
    {
      title: 'Against tokens: products grow with them, attention with their square',
      rows: byTokens.map(({ config, ms, flops }) => ({
        picture: `${config.imageSize[0]}×${config.imageSize[1]}`,
        tokens: tokensOf(config),
        ms,
        'of the first': ms / byTokens[0]!.ms,
        'work of the first': flops / byTokens[0]!.flops,
        'µs a token': (1000 * ms) / tokensOf(config),
      })),
    },
    {
      title: 'Against width: products grow with its square',
      rows: byWidth.map(({ config, ms, flops }) => ({
        width: config.width,
        ms,
        'of the first': ms / byWidth[0]!.ms,
        'work of the first': flops / byWidth[0]!.flops,
        [dtype === 'int8' ? 'GOP/s' : 'GFLOP/s']: flops / ms / 1e6,
      })),
    },
    {
      title: 'Against streams that take turns on one model',
      rows: await byStreams(modelOptions, settings.seconds, part(monitor, 2, 4)),
    },
    {
      title: 'Against frames that a stream has seen, in turn with a fresh stream',
      rows: await byFrame(modelOptions, settings.seconds, part(monitor, 3, 4)),
    },
  ].filter(({ rows }) => rows.length > 0)
  return {
    bench: 'growth',
    facts: { ...machineFacts({ kernels: build, threads: settings.threads }), dtype },
    tables,
    verdict: null,
  }
}

/**
 * Returns the milliseconds of a frame of each model. The models alternate, so that other work on
 * the machine affects all of them.
 */
async function costs(
  configs: readonly Config[],
  options: RandomModelOptions,
  seconds: number,
  monitor: Monitor,
): Promise<{ config: Config; ms: number; flops: number }[]> {
  if (!(await shouldContinue(monitor, 0))) return []
  const models: RandomModel[] = []
  for (const config of configs) models.push(await createRandomModel(config, 1, options))
  const sides = models.map((model) => ({
    model,
    pixels: randomFrame(model.config, 0),
    walls: [] as number[],
  }))
  for (const { model, pixels } of sides)
    await warm(() => model.advance(pixels), 500 * Math.min(1, seconds))
  for (
    const start = performance.now();
    sides[0]!.walls.length < 5 || performance.now() - start < 1000 * configs.length * seconds;
  ) {
    for (const { model, pixels, walls } of sides)
      walls.push((await time(() => model.advance(pixels))).wall)
    if (
      !(await shouldContinue(
        monitor,
        (performance.now() - start) / 1000 / configs.length / seconds,
      ))
    )
      break
  }
  for (const { backend } of models) backend.dispose()
  return sides.map(({ model: { config, program }, walls }) => ({
    config,
    ms: median(walls),
    flops: program.steps.reduce((sum, step) => sum + flopsOf(step), 0),
  }))
}

/** Measures streams of one model, each with its own state, that take turns. */
async function byStreams(
  options: RandomModelOptions,
  seconds: number,
  monitor: Monitor,
): Promise<Table['rows']> {
  if (!(await shouldContinue(monitor, 0))) return []
  const model = await createRandomModel(small(), 1, options)
  const replay = await model.backend.prepare(model.program)
  const states = await Promise.all(
    Array.from({ length: Math.max(...STREAMS) }, () =>
      model.backend.createState(model.program.states),
    ),
  )
  const pixels = randomFrame(model.config, 0)
  const samples = STREAMS.map((): number[] => [])
  const round = async (count: number) => {
    for (const state of states.slice(0, count)) await replay.run(state, 1, { pixels })
  }
  await warm(() => round(1), 500 * Math.min(1, seconds))
  for (
    const start = performance.now();
    samples[0]!.length < 3 || performance.now() - start < 1000 * STREAMS.length * seconds;
  ) {
    for (const [index, count] of STREAMS.entries())
      samples[index]!.push((await time(() => round(count))).wall / count)
    if (
      !(await shouldContinue(
        monitor,
        (performance.now() - start) / 1000 / STREAMS.length / seconds,
      ))
    )
      break
  }
  model.backend.dispose()
  const first = median(samples[0]!)
  return STREAMS.map((streams, index) => ({
    streams,
    'ms a frame': median(samples[index]!),
    'of one': median(samples[index]!) / first,
    'frames/s of all': 1000 / median(samples[index]!),
  }))
}

/**
 * Measures frames of a stream that has seen many, alternating with frames of a new stream. The
 * model is small, so that the stream gets far.
 */
async function byFrame(
  options: RandomModelOptions,
  seconds: number,
  monitor: Monitor,
): Promise<Table['rows']> {
  if (!(await shouldContinue(monitor, 0))) return []
  const model = await createRandomModel(
    configOf('mu', { depth: 2, imageSize: [32, 32], repSize: 64, numClasses: 10 }),
    1,
    options,
  )
  const replay = await model.backend.prepare(model.program)
  const [old, young] = [
    await model.backend.createState(model.program.states),
    await model.backend.createState(model.program.states),
  ]
  const pixels = randomFrame(model.config, 0)
  await warm(() => model.advance(pixels), 500 * Math.min(1, seconds))
  const rows = []
  let seen = 0
  for (const [index, frame] of FRAMES.entries()) {
    const partMonitor = part(monitor, index, FRAMES.length)
    while (seen < frame) {
      await replay.run(old, seen++, { pixels })
      if (seen % 100 === 0 && !(await shouldContinue(partMonitor, seen / frame))) break
    }
    if (monitor.signal.aborted) break
    await young.clear()
    const samples: [number, number][] = []
    for (
      const start = performance.now();
      samples.length < 20 || performance.now() - start < (1000 * seconds) / FRAMES.length;
    ) {
      const late = await time(() => replay.run(old, seen++, { pixels }))
      const early = await time(() => replay.run(young, samples.length + 1, { pixels }))
      samples.push([late.wall, early.wall])
      if (!(await shouldContinue(partMonitor, 1))) break
    }
    rows.push({
      'from frame': frame,
      ms: median(samples.map(([late]) => late)),
      'of a fresh one': median(samples.map(([late, early]) => late / early)),
    })
  }
  model.backend.dispose()
  return rows
}
