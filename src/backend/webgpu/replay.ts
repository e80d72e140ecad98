import { TrecvitError } from '../../base/error.ts'
import { columnsOf, type Program, rowsOf, sizeOf, type Tensor } from '../../program/program.ts'
import {
  type GpuInputs,
  type Inputs,
  isOnGpu,
  type Replay,
  type StreamState,
  type Watch,
} from '../backend.ts'
import { Activations } from './activations.ts'
import type { BatchReplay, StreamBatches } from './batches.ts'
import { bind, type Dispatch, encodeTo } from './dispatch.ts'
import { encode } from './encode.ts'
import type { Resources } from './resources.ts'
import type { Position, Slab } from './slab.ts'
import type { WebGpuState } from './state.ts'
import type { Run, Span } from './submits.ts'

type Outputs = Record<string, Float32Array>

/**
 * A program as pipelines, bind groups and buffers, all created once. A chunk, or a batch of chunks
 * of several streams, is one command buffer with one pass, one submit and one read-back.
 */
export class WebGpuReplay implements Replay, BatchReplay {
  readonly #resources: Resources
  readonly #program: Program
  readonly #activations: Activations
  readonly #dispatches: readonly Dispatch[]
  readonly #params: GPUBuffer
  readonly #run: Run
  /** Set if chunks of several streams may run as one batch. */
  readonly #batches: StreamBatches | undefined
  /** A replay of each step by itself, made when a run is watched; this one if nothing is fused. */
  #plain: WebGpuReplay | undefined

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
    this.#run = resources.submits.paced()
    const { forStreams } = program
    if (forStreams)
      this.#batches = resources.streams.batchesOf(this, (streams) =>
        WebGpuReplay.create(resources, forStreams(streams)),
      )
  }

  /**
   * @param room bytes of workgroup memory; by default the limit of the device
   * @param isPlain whether no steps are fused
   * @throws TrecvitError if the activations do not fit
   */
  static async create(
    resources: Resources,
    program: Program,
    room?: number,
    isPlain = false,
  ): Promise<WebGpuReplay> {
    const { device, dtype, int8, fusions, matrices, pipelines: kept } = resources
    const { limits } = kept.capabilities
    const capabilities = isPlain ? undefined : kept.capabilities
    const lowered = fusions.lower(program, int8, capabilities, !!matrices)
    const calls = lowered.program.steps.map((step) => {
      const call = encode(step, dtype, room ?? limits.maxComputeWorkgroupStorageSize)
      return matrices?.replace(call, step.sizes) ?? call
    })
    const pipelines = await Promise.all(calls.map((call) => kept.pipeline(call)))
    const activations = await Activations.create(device, lowered.program)
    const { dispatches, params } = bind(resources, lowered, calls, pipelines, activations)
    const replay = new WebGpuReplay(resources, program, activations, dispatches, params)
    if (lowered.isPlain) replay.#plain = replay
    return replay
  }

  /**
   * @throws TrecvitError if the number of frames since the reset exceeds 32 bits: after more than
   * two years at 60 frames per second
   */
  async run(
    state: StreamState,
    frame: number,
    inputs: GpuInputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>> {
    const end = frame + this.#program.t
    if (end > 0xffffffff)
      throw new TrecvitError(
        `A stream on WebGPU expected at most ${0xffffffff} frames since its reset, got ${end}; ` +
          'reset it',
      )
    const { batcher } = this.#resources.streams
    const at: Position = { state: state as WebGpuState, frame }
    if (!watch && this.#batches && areOnCpu(inputs))
      return batcher.run(this.#batches, { ...at, inputs })
    return batcher.after(at.state, () =>
      watch ? this.#runWatched(at, inputs, watch) : this.submit([at], inputs),
    )
  }

  async submit(
    streams: readonly Position[],
    inputs: GpuInputs,
    run: Run = this.#run,
  ): Promise<Outputs> {
    const values = await run(this.#spans, (encoder) => {
      const slab = this.#write(encoder, streams, inputs)
      const pass = encoder.beginComputePass()
      for (const dispatch of this.#dispatches) encodeTo(pass, dispatch, slab)
      pass.end()
    })
    return this.#outputsFrom(values)
  }

  dispose(): void {
    this.#batches?.dispose()
    if (this.#plain !== this) this.#plain?.dispose()
    this.#activations.dispose()
    this.#params.destroy()
  }

  /** The outputs, to be read after a chunk. */
  get #spans(): Span[] {
    return Object.values(this.#program.outputs).map((tensor) => this.#activations.spanOf(tensor))
  }

  /** Writes the streams of a batch and their inputs. Returns their slab. */
  #write(encoder: GPUCommandEncoder, streams: readonly Position[], inputs: GpuInputs): Slab {
    const { slab } = streams[0]!.state
    slab.setBatch(streams, this.#program.b / streams.length)
    this.#activations.write(encoder, inputs)
    return slab
  }

  #outputsFrom(values: readonly ArrayBuffer[]): Outputs {
    return Object.fromEntries(
      Object.entries(this.#program.outputs).map(([name, tensor], index) => [
        name,
        rowsFrom(tensor, values[index]!),
      ]),
    )
  }

  /**
   * Runs a chunk in many submits. No other run may write the activations between them. If steps are
   * fused, the chunk runs twice: step by step for the watch, then from the same states as always.
   */
  #runWatched(at: Position, inputs: GpuInputs, watch: Watch): Promise<Outputs> {
    const { slab, slot } = at.state
    return this.#resources.submits.alone(async (run) => {
      this.#plain ??= await WebGpuReplay.create(this.#resources, this.#program, undefined, true)
      const plain = this.#plain
      const before = plain === this ? [] : await run(slab.spans(slot), () => {})
      await run([], (encoder) => void plain.#write(encoder, [at], inputs))
      await plain.#watched(slab, watch, run)
      if (plain === this) return this.#outputsFrom(await run(this.#spans, () => {}))
      const states = before.map((bytes) => new Float32Array(bytes))
      slab.write(slot, states)
      return this.submit([at], inputs, run)
    })
  }

  /** Runs each step in its own submit and reports its outputs. */
  async #watched(slab: Slab, watch: Watch, run: Run): Promise<void> {
    const { watchSteps } = await import('./timer.ts')
    await watchSteps(this.#resources.device, this.#program.steps, watch, run, {
      encode: (pass, step) => {
        for (const dispatch of this.#dispatches)
          if (dispatch.step === step) encodeTo(pass, dispatch, slab)
      },
      read: async (output) => {
        const [values] = await run([this.#activations.spanOf(output)], () => {})
        return rowsFrom(output, values!)
      },
    })
  }
}

/** Whether inputs may be joined with those of other streams: they are in the memory of the CPU. */
const areOnCpu = (inputs: GpuInputs): inputs is Inputs => !Object.values(inputs).some(isOnGpu)

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
