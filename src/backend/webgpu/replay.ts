import { TrecvitError } from '../../base/error.ts'
import { planSlots } from '../../program/plan.ts'
import {
  type Buffer,
  columnsOf,
  type Program,
  rowsOf,
  type Step,
  sizeOf,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { Inputs, MatrixDType, Replay, StreamState, Watch } from '../backend.ts'
import { allocate, largestPiece } from './allocate.ts'
import { type Call, encode } from './encode.ts'
import { Kernels } from './kernels.ts'
import { Pace } from './pace.ts'
import type { WebGpuState } from './state.ts'
import type { Run, Span, Submits } from './submits.ts'
import { Timer } from './timer.ts'
import { COPY_DST, UNIFORM } from './usage.ts'

/**
 * Bytes from the parameters of one step to those of the next: what offsets of bindings are
 * multiples of on every device.
 */
const PARAMS = 256

/** What one step needs in a pass. */
interface Dispatch {
  readonly step: Step
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  /** Which of the stream's groups it needs, or −1. */
  readonly state: number
  readonly groups: Call['groups']
}

/**
 * A program as pipelines, bind groups and buffers made once; a chunk is one command buffer, one
 * pass, one submit and one read-back.
 *
 * Activations lie in a buffer for each slot of the plan and not in one arena: WebGPU forbids a
 * dispatch to bind a buffer for reading and for writing, whatever the offsets, and a binding may
 * not exceed 128 MiB. Tensors are views: a buffer is bound whole, and the kernels get offset and
 * stride.
 */
export class WebGpuReplay implements Replay {
  readonly #device: GPUDevice
  readonly #submits: Submits
  readonly #program: Program
  readonly #dispatches: readonly Dispatch[]
  readonly #slots: readonly GPUBuffer[]
  readonly #slotOf: ReadonlyMap<Buffer, number>
  readonly #params: GPUBuffer
  readonly #pace = new Pace()

  private constructor(
    device: GPUDevice,
    submits: Submits,
    program: Program,
    slots: readonly GPUBuffer[],
    slotOf: ReadonlyMap<Buffer, number>,
    params: GPUBuffer,
    dispatches: readonly Dispatch[],
  ) {
    this.#device = device
    this.#submits = submits
    this.#program = program
    this.#slots = slots
    this.#slotOf = slotOf
    this.#params = params
    this.#dispatches = dispatches
  }

  /**
   * @param weights the buffer of each weight by name
   * @param none what is bound where a step has no such input
   * @param dtype of the matrices among the weights
   * @throws TrecvitError if the activations do not fit
   */
  static async create(
    device: GPUDevice,
    submits: Submits,
    program: Program,
    weights: ReadonlyMap<string, GPUBuffer>,
    none: GPUBuffer,
    dtype: MatrixDType,
  ): Promise<WebGpuReplay> {
    const kernels = Kernels.of(device)
    const calls = program.steps.map((step) =>
      encode(step, dtype, device.limits.maxComputeWorkgroupStorageSize),
    )
    const pipelines = await Promise.all(calls.map((call) => kernels.pipeline(call)))
    const { of, bytes } = planSlots(program)
    const names: string[] = []
    for (const [{ name }, slot] of [...of]) names[slot] ??= name
    // Everything grows with the frames, so the largest piece tells how many fit.
    const frames = Math.floor((program.b * program.t * largestPiece(device)) / Math.max(...bytes))
    const fewer = Math.min(frames, program.b * program.t - 1)
    const slots = await allocate(
      device,
      `The activations of ${program.b * program.t} frames`,
      bytes.map((size, slot) => ({ name: names[slot]!, bytes: size })),
      fewer > 0
        ? `at most ${fewer} frames at once (videos side by side times frames of a chunk)`
        : 'a smaller model',
    )

    const params = device.createBuffer({
      label: 'parameters',
      size: PARAMS * calls.length,
      usage: UNIFORM | COPY_DST,
    })
    const words = new Uint32Array((PARAMS / 4) * calls.length)
    calls.forEach((call, index) => words.set(call.params, (PARAMS / 4) * index))
    device.queue.writeBuffer(params, 0, words)

    const bufferOf = (bound: Tensor | Weight | undefined) => {
      if (!bound) return none
      return 'buffer' in bound ? slots[of.get(bound.buffer)!]! : weights.get(bound.name)!
    }
    const dispatches = calls.map((call, index): Dispatch => {
      const step = program.steps[index]!
      const resources = [
        { buffer: params, offset: PARAMS * index, size: PARAMS },
        ...call.bindings.map((bound) => ({ buffer: bufferOf(bound) })),
      ]
      const group = device.createBindGroup({
        label: step.name,
        layout: kernels.layout(call),
        entries: resources.map((resource, binding) => ({ binding, resource })),
      })
      return {
        step,
        pipeline: pipelines[index]!,
        group,
        state: call.state ? program.states.indexOf(call.state) : -1,
        groups: call.groups,
      }
    })
    return new WebGpuReplay(device, submits, program, slots, of, params, dispatches)
  }

  /**
   * @throws TrecvitError where a 32-bit number of frames ends: after more than two years at 60
   * frames a second
   */
  async run(
    state: StreamState,
    frame: number,
    inputs: Inputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>> {
    const end = frame + this.#program.t
    if (end > 0xffffffff)
      throw new TrecvitError(
        `A stream on WebGPU expected at most ${0xffffffff} frames since its reset, got ${end}; ` +
          'reset it',
      )
    const stream = state as WebGpuState
    const outputs = Object.entries(this.#program.outputs)
    const spans = outputs.map(([, tensor]) => this.#spanOf(tensor))
    const send = () => {
      stream.setFrame(frame)
      this.#send(inputs)
    }
    const values = watch
      ? // Many submits, between which no other run may write the activations.
        await this.#submits.alone(async (run) => {
          await run([], send)
          await this.#watched(stream, watch, run)
          return run(spans, () => {})
        })
      : await this.#submits.run(
          spans,
          (encoder) => {
            send()
            const pass = encoder.beginComputePass()
            for (const dispatch of this.#dispatches) encodeTo(pass, dispatch, stream)
            pass.end()
          },
          this.#pace,
        )
    return Object.fromEntries(
      outputs.map(([name, tensor], index) => [name, rowsFrom(tensor, values[index]!)]),
    )
  }

  dispose(): void {
    for (const buffer of [...this.#slots, this.#params]) buffer.destroy()
  }

  /** Step by step, each in a submit of its own. */
  async #watched(stream: WebGpuState, watch: Watch, run: Run): Promise<void> {
    const timer = new Timer(this.#device)
    try {
      for (const dispatch of this.#dispatches) {
        const times = await run(timer.spans, (encoder) =>
          timer.pass(encoder, (pass) => encodeTo(pass, dispatch, stream)),
        )
        const { step } = dispatch
        await watch(step, timer.milliseconds(times), async () => {
          const [values] = await run([this.#spanOf(step.output)], () => {})
          return rowsFrom(step.output, values!)
        })
      }
    } finally {
      timer.dispose()
    }
  }

  /** Bytes are sent in words of four. */
  #send(inputs: Inputs): void {
    const { queue } = this.#device
    for (const [name, tensor] of Object.entries(this.#program.inputs)) {
      const { buffer, byteOffset, byteLength } = inputs[name]!
      const to = this.#bufferOf(tensor)
      const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
      const whole = byteLength - (byteLength % 4)
      queue.writeBuffer(to, 0, bytes, 0, whole)
      if (whole < byteLength) {
        const rest = Uint8Array.of(...bytes.subarray(whole), 0, 0, 0)
        queue.writeBuffer(to, whole, rest.subarray(0, 4))
      }
    }
  }

  #bufferOf({ buffer }: Tensor): GPUBuffer {
    return this.#slots[this.#slotOf.get(buffer)!]!
  }

  /** From the first element of a tensor to its last. */
  #spanOf(tensor: Tensor): Span {
    return {
      buffer: this.#bufferOf(tensor),
      offset: 4 * tensor.offset,
      bytes: 4 * ((rowsOf(tensor) - 1) * tensor.stride + columnsOf(tensor)),
    }
  }
}

function encodeTo(
  pass: GPUComputePassEncoder,
  { pipeline, group, state, groups }: Dispatch,
  stream: WebGpuState,
): void {
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  if (state >= 0) pass.setBindGroup(1, stream.groups[state])
  pass.dispatchWorkgroups(...groups)
}

/** The rows of a tensor, dense, from its span. */
function rowsFrom(tensor: Tensor, span: ArrayBuffer): Float32Array {
  const values = new Float32Array(span)
  const columns = columnsOf(tensor)
  if (tensor.stride === columns) return values
  const rows = new Float32Array(sizeOf(tensor.shape))
  for (let row = 0; row < rowsOf(tensor); row++)
    rows.set(values.subarray(row * tensor.stride, row * tensor.stride + columns), row * columns)
  return rows
}
