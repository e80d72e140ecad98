import type { Step } from '../../program/program.ts'
import type { Activations } from './activations.ts'
import type { Call } from './encode.ts'
import type { Lowered } from './int8.ts'
import type { Resources } from './resources.ts'
import type { Slab } from './slab.ts'
import { COPY_DST, UNIFORM } from './usage.ts'

/**
 * Bytes from the parameters of one step to those of the next. It is the largest alignment that a
 * device may require for the offset of a binding.
 */
const PARAMS = 256

/** A call with its pipeline and bindings, ready to be encoded. */
export interface Dispatch {
  /** The step of the program that it belongs to. */
  readonly step: Step
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  /** Indexes of its states in the slab. */
  readonly states: readonly number[]
  readonly groups: Call['groups']
}

/** Returns the dispatches of a program, and the buffer with their parameters. */
export function bind(
  { device, weights, pipelines: kept }: Resources,
  { program: { states }, origins }: Lowered,
  calls: readonly Call[],
  pipelines: readonly GPUComputePipeline[],
  activations: Activations,
): { dispatches: readonly Dispatch[]; params: GPUBuffer } {
  const params = device.createBuffer({
    label: 'parameters',
    size: PARAMS * calls.length,
    usage: UNIFORM | COPY_DST,
  })
  const words = new Uint32Array((PARAMS / 4) * calls.length)
  calls.forEach((call, index) => words.set(call.params, (PARAMS / 4) * index))
  device.queue.writeBuffer(params, 0, words)

  const bufferOf = (bound: Call['bindings'][number]) =>
    bound && 'buffer' in bound ? activations.bufferOf(bound) : weights.bufferOf(bound)
  const dispatches = calls.map((call, index): Dispatch => {
    const step = origins[index]!
    const resources = [
      { buffer: params, offset: PARAMS * index, size: PARAMS },
      ...call.bindings.map((bound) => ({ buffer: bufferOf(bound) })),
    ]
    const group = device.createBindGroup({
      label: step.name,
      layout: kept.layout(call),
      entries: resources.map((resource, binding) => ({ binding, resource })),
    })
    return {
      step,
      pipeline: pipelines[index]!,
      group,
      states: call.states.map((state) => states.indexOf(state)),
      groups: call.groups,
    }
  })
  return { dispatches, params }
}

/** Encodes a dispatch into a pass. */
export function encodeTo(
  pass: GPUComputePassEncoder,
  { pipeline, group, states, groups }: Dispatch,
  slab: Slab,
): void {
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  if (states.length) pass.setBindGroup(1, slab.group(states))
  pass.dispatchWorkgroups(...groups)
}
