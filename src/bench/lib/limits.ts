/** Limits of the machine. Shares of other steps are relative to them. */
import type { Device } from '../../backend/backend.ts'
import type { Build } from '../../backend/wasm/builds.ts'
import { configOf, type Size } from '../../model/config.ts'
import { flopsOf } from '../../program/listing.ts'
import { type Step, scalesOf, type Tensor, type Weight } from '../../program/program.ts'
import { Recorder } from '../../program/record.ts'
import { Runner, type Sampler } from './runner.ts'
import { trafficOf } from './steps.ts'

/** A limit: its samples are the milliseconds that some work takes. */
export interface Limit extends Sampler {
  /** Operations, or bytes. */
  readonly work: number
  readonly device: Device
  dispose(): void
}

/** A product of float32 in the L1 cache: two panels of 512 × 8 and 200 rows at one address. */
export async function productLimit(build: Build, seconds: number): Promise<Limit> {
  const step = productOf('matrix', { rows: 200, k: 512, n: 16, stride: 0 })
  return limitOf(step, flopsOf(step), build, seconds)
}

/**
 * A product of int8 in the L1 cache: 24 rows of 512. Each panel comes from the L2 cache once, for
 * four tiles. The time is the difference between 80 and 16 columns, which excludes the quantisation
 * of the rows.
 */
export async function int8Limit(build: Build, seconds: number): Promise<Limit> {
  const [few, many] = [16, 80].map((n) => productOf('int8', { rows: 24, k: 512, n, stride: 512 }))
  const [narrow, wide] = [
    await Runner.create(few!, build, seconds),
    await Runner.create(many!, build, seconds),
  ]
  return {
    work: flopsOf(many!) - flopsOf(few!),
    device: wide.backend.device,
    sample: async () => (await wide.sample()) - (await narrow.sample()),
    dispose: () => {
      narrow.dispose()
      wide.dispose()
    },
  }
}

/** A copy of the tokens of a frame: patches of one line each are rows of pixels. */
export async function copyLimit(size: Size, build: Build, seconds: number): Promise<Limit> {
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
  const step = ops.end({}).steps[0]!
  return limitOf(step, trafficOf(step), build, seconds)
}

async function limitOf(step: Step, work: number, build: Build, seconds: number): Promise<Limit> {
  const runner = await Runner.create(step, build, seconds)
  return {
    work,
    device: runner.backend.device,
    sample: () => runner.sample(),
    dispose: () => runner.dispose(),
  }
}

/** Returns the product of rows [rows, k], `stride` apart, and a matrix [k, n]. */
function productOf(
  kind: Weight['kind'],
  { rows, k, n, stride }: { rows: number; k: number; n: number; stride: number },
): Step {
  const kernel = 'panel'
  const scales = scalesOf(kernel)
  const ops = new Recorder(
    1,
    1,
    new Map<string, Weight>([
      [kernel, { name: kernel, kind, blocks: 1, rows: k, columns: n }],
      [scales, { name: scales, kind: 'rows', blocks: 1, rows: 1, columns: n }],
    ]),
  )
  const x: Tensor = {
    buffer: { name: 'rows', dtype: 'f32', size: stride ? rows * stride : k },
    offset: 0,
    shape: [1, 1, rows, k],
    stride,
  }
  ops.linear('product', x, kernel)
  return ops.end({}).steps[0]!
}
