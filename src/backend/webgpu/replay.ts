import { TrecvitError } from '../../base/error.ts'
import { columnsOf, type Program, rowsOf, sizeOf, type Tensor } from '../../program/program.ts'
import type { Inputs, Replay, StreamState, Watch } from '../backend.ts'
import { Activations } from './activations.ts'
import { bind, type Dispatch, encodeTo } from './dispatch.ts'
import { encode } from './encode.ts'
import { Pace } from './pace.ts'
import type { Resources } from './resources.ts'
import type { WebGpuState } from './state.ts'
import type { Run } from './submits.ts'

/**
 * A program as pipelines, bind groups and buffers, all created once. A chunk is one command buffer
 * with one pass, one submit and one read-back.
 */
export class WebGpuReplay implements Replay {
  readonly #resources: Resources
  readonly #program: Program
  readonly #activations: Activations
  readonly #dispatches: readonly Dispatch[]
  readonly #params: GPUBuffer
  readonly #pace = new Pace()

  private constructor(
    resources: Resources,
    program: Program,
    activations: Activations,
    dispatches: readonly Dispatch[],
    params: GPUBuffer,
  ) {
    this.#resources = resources
    this.#program = program
    this.#activations = activations
    this.#dispatches = dispatches
    this.#params = params
  }

  /**
   * @param room bytes of workgroup memory; by default the limit of the device
   * @throws TrecvitError if the activations do not fit
   */
  static async create(
    resources: Resources,
    program: Program,
    room?: number,
  ): Promise<WebGpuReplay> {
    const { device, dtype, int8, matrices, pipelines: kept } = resources
    const { limits } = kept.capabilities
    const lowered = int8?.lower(program) ?? { program, origins: program.steps }
    const calls = lowered.program.steps.map((step) => {
      const call = encode(step, dtype, room ?? limits.maxComputeWorkgroupStorageSize)
      return matrices?.replace(call, step.sizes) ?? call
    })
    const pipelines = await Promise.all(calls.map((call) => kept.pipeline(call)))
    const activations = await Activations.create(device, lowered.program)
    const { dispatches, params } = bind(resources, lowered, calls, pipelines, activations)
    return new WebGpuReplay(resources, program, activations, dispatches, params)
  }

  /**
   * @throws TrecvitError if the number of frames since the reset exceeds 32 bits: after more than
   * two years at 60 frames per second
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
    const { submits } = this.#resources
    const outputs = Object.entries(this.#program.outputs)
    const spans = outputs.map(([, tensor]) => this.#activations.spanOf(tensor))
    const send = () => {
      stream.setFrame(frame)
      this.#activations.write(inputs)
    }
    const values = watch
      ? // Many submits: no other run may write the activations between them.
        await submits.alone(async (run) => {
          await run([], send)
          await this.#watched(stream, watch, run)
          return run(spans, () => {})
        })
      : await submits.run(
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
    this.#activations.dispose()
    this.#params.destroy()
  }

  /** Runs each step in its own submit and reports its outputs. */
  async #watched(stream: WebGpuState, watch: Watch, run: Run): Promise<void> {
    const { Timer } = await import('./timer.ts')
    const timer = new Timer(this.#resources.device)
    try {
      for (const step of this.#program.steps) {
        const times = await run(timer.spans, (encoder) =>
          timer.pass(encoder, (pass) => {
            for (const dispatch of this.#dispatches)
              if (dispatch.step === step) encodeTo(pass, dispatch, stream)
          }),
        )
        await watch(step, timer.milliseconds(times), async (output) => {
          const [values] = await run([this.#activations.spanOf(output)], () => {})
          return rowsFrom(output, values!)
        })
      }
    } finally {
      timer.dispose()
    }
  }
}

/** Copies the rows of a tensor from its span of a buffer to a dense array. */
function rowsFrom(tensor: Tensor, span: ArrayBuffer): Float32Array {
  const values = new Float32Array(span)
  const columns = columnsOf(tensor)
  if (tensor.stride === columns) return values
  const rows = new Float32Array(sizeOf(tensor.shape))
  for (let row = 0; row < rowsOf(tensor); row++)
    rows.set(values.subarray(row * tensor.stride, row * tensor.stride + columns), row * columns)
  return rows
}
