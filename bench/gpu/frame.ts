/**
 * Measures what each kind of step costs within a frame: the GPU's time of the pass of a frame, and
 * how much shorter the pass is without these steps. Steps in a pass of their own would seem about 7
 * µs longer. Options: --size B --rounds 15 --dtype f32,int8
 */
import type { MatrixDType } from '../../src/backend/backend.ts'
import { encode } from '../../src/backend/webgpu/encode.ts'
import { lower, operations, shaders } from '../../src/backend/webgpu/fusions.ts'
import * as int8 from '../../src/backend/webgpu/int8.ts'
import { Pipelines } from '../../src/backend/webgpu/pipelines.ts'
import { addShaders } from '../../src/backend/webgpu/sources.ts'
import { weightBytes } from '../../src/backend/webgpu/weightBuffers.ts'
import { type Options, oneOf, settingsOf, sizesOf } from '../../src/bench/lib/options.ts'
import { dtypes } from '../../src/bench/lib/randomModel.ts'
import type { Report, Table } from '../../src/bench/lib/report.ts'
import { kindOf } from '../../src/bench/lib/steps.ts'
import { configOf, type Size } from '../../src/model/config.ts'
import { recordModel } from '../../src/model/graph.ts'
import { weightTable } from '../../src/model/weights.ts'
import { addDescriptions } from '../../src/program/describe.ts'
import { flopsOf } from '../../src/program/listing.ts'
import { planSlots } from '../../src/program/plan.ts'
import { type State, type Step, sizeOf, type Weight } from '../../src/program/program.ts'
import { Gpu } from './gpu.ts'

const defaults = {
  size: 'B',
  rounds: 15,
  dtype: 'f32,int8',
  toggles: 'disable_workgroup_init,disable_robustness,skip_validation',
}

interface Dispatch {
  readonly step: Step
  readonly encode: (pass: GPUComputePassEncoder) => void
}

export async function bench(options: Options): Promise<Report> {
  const { size, rounds, dtype, toggles } = settingsOf(options, defaults)
  const gpu = await Gpu.open(toggles)
  const tables: Table[] = []
  for (const name of sizesOf(size))
    for (const format of dtype.split(','))
      tables.push(await costs(gpu, name, oneOf('dtype', format, dtypes), rounds))
  return { bench: 'gpu frame', facts: gpu.facts, tables, verdict: null }
}

async function costs(gpu: Gpu, size: Size, dtype: MatrixDType, rounds: number): Promise<Table> {
  const dispatches = await frame(gpu, size, dtype)
  const kinds = [...new Set(dispatches.map(({ step }) => kindOf(step)))]
  const steps = new Map(
    kinds.map((kind) => [kind, dispatches.filter(({ step }) => kindOf(step) === kind)]),
  )
  const passes = [
    dispatches,
    ...kinds.map((kind) => dispatches.filter((dispatch) => !steps.get(kind)!.includes(dispatch))),
  ].map((list) => (pass: GPUComputePassEncoder) => list.forEach(({ encode }) => encode(pass)))
  const [whole, ...rest] = (await gpu.inTurn(passes, rounds, 500)) as [number, ...number[]]
  const rows = kinds.map((operation, index) => {
    const ms = whole - rest[index]!
    const of = steps.get(operation)!
    const flops = of.reduce((sum, { step }) => sum + flopsOf(step), 0)
    return {
      operation,
      steps: of.length,
      ms,
      'share %': (100 * ms) / whole,
      'µs each': (1000 * ms) / of.length,
      ...(flops > 0 && { 'TFLOP/s': flops / ms / 1e9 }),
    }
  })
  return {
    title: `A frame of ${size}, ${dtype}: the pass takes ${whole.toFixed(3)} ms; of it`,
    rows: rows.sort((one, other) => other.ms - one.ms),
  }
}

/** Returns the dispatches of a frame that is not the first, with random weights. */
async function frame(gpu: Gpu, size: Size, dtype: MatrixDType): Promise<Dispatch[]> {
  const { device } = gpu
  const kernels = Pipelines.of(device, gpu.wgsl)
  const config = configOf(size)
  const options = { b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: false } as const
  addShaders(shaders)
  addDescriptions(operations)
  const recorded = recordModel(config, { ...options, dtype })
  const { program, origins } = lower(recorded, int8, kernels.capabilities)
  // Values stay bounded: a matrix keeps the size of its operand, the scales at the end of an int8
  // matrix are small, and a decay, which must not be positive, is 0.
  const spreadOf = ({ kind, name, rows }: Weight) =>
    name.endsWith('decay')
      ? 0
      : kind === 'matrix'
        ? Math.sqrt(3 / rows)
        : kind === 'int8'
          ? 1e-3
          : 0.1
  const weights = new Map(
    weightTable(config, dtype).map((weight) => [
      weight.name,
      gpu.buffer(weightBytes(weight, dtype), spreadOf(weight)),
    ]),
  )
  const { of, bytes } = planSlots(program)
  const slots = bytes.map((slot) => gpu.buffer(slot))
  const none = gpu.buffer(16)
  // One video: slot 0, at frame 1, with an average that no step here reads.
  const videos = gpu.buffer(12)
  device.queue.writeBuffer(videos, 0, Uint32Array.of(0, 1, 0))
  const states = new Map(
    program.states.map((state) => [state, gpu.buffer(4 * sizeOf(state.shape))]),
  )
  const stateGroup = (of: readonly State[]) =>
    device.createBindGroup({
      layout: kernels.streamLayout(of.length),
      entries: [
        { buffer: videos, size: 12 },
        ...of.map((state) => ({ buffer: states.get(state)! })),
      ].map((resource, binding) => ({ binding, resource })),
    })
  const dispatches: Dispatch[] = []
  for (const [index, step] of program.steps.entries()) {
    const call = encode(step, dtype, device.limits.maxComputeWorkgroupStorageSize)
    const pipeline = await kernels.pipeline(call)
    const buffers = call.bindings.map((bound) =>
      !bound ? none : 'buffer' in bound ? slots[of.get(bound.buffer)!]! : weights.get(bound.name)!,
    )
    const group = device.createBindGroup({
      layout: kernels.layout(call),
      entries: [{ buffer: gpu.uniform(call.params) }, ...buffers.map((buffer) => ({ buffer }))].map(
        (resource, binding) => ({ binding, resource }),
      ),
    })
    const stateBuffers = call.states.length ? stateGroup(call.states) : undefined
    dispatches.push({
      step: origins[index]!,
      encode: (pass) => {
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        if (stateBuffers) pass.setBindGroup(1, stateBuffers)
        pass.dispatchWorkgroups(...call.groups)
      },
    })
  }
  return dispatches
}
