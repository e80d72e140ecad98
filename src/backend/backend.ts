import type { Average, Program, State, Step, Tensor, Weight } from '../program/program.ts'

/**
 * Number format of the matrices of a model, where they lie in memory; sums and everything else are
 * float32. With `int8` those of the encoder's layers are integers, products with them exact,
 * and all others float32.
 */
export type MatrixDType = 'f32' | 'f16' | 'int8'

/** The device a model runs on, and why no faster device was chosen. */
export interface Device {
  /** 'wasm' is the CPU. */
  readonly backend: 'wasm' | 'webgpu'
  /** Which kernels: the instruction set or adapter, in words. */
  readonly kernels: string
  /** Threads that compute; 1 on a GPU. */
  readonly threads: number
  /** Why no faster device or build is used, or null. */
  readonly reason: string | null
  /** What is known of the GPU, or null on the CPU. */
  readonly gpu: (GpuCapabilities & GpuUse) | null
}

/** What a GPU offers, as WebGPU describes it. Variants of kernels are chosen by it. */
export interface GpuCapabilities {
  /** As in GPUAdapterInfo, for example `nvidia`. */
  readonly vendor: string
  /** As in GPUAdapterInfo; may be empty. */
  readonly architecture: string
  /** As in GPUAdapterInfo; may be empty. */
  readonly description: string
  /** Optional features in use: `subgroups`, `timestamp-query`. */
  readonly features: readonly string[]
  /** Limits of the device, in bytes. */
  readonly limits: {
    /** The largest buffer. */
    readonly maxBufferSize: number
    /** The largest part of a buffer that a kernel may be given. */
    readonly maxStorageBufferBindingSize: number
    /** Memory that the invocations of a workgroup share. */
    readonly maxComputeWorkgroupStorageSize: number
  }
  /** Least and most invocations of a subgroup, or null where it is not known. */
  readonly subgroupSizes: readonly [number, number] | null
  /** Matrices that a subgroup multiplies in one instruction; none where it is not known. */
  readonly matrixShapes: readonly {
    /** Rows of the left matrix and of the result. */
    readonly M: number
    /** Columns of the right matrix and of the result. */
    readonly N: number
    /** Columns of the left matrix, rows of the right one. */
    readonly K: number
    /** Number format of both factors. */
    readonly componentType: string
    /** Number format of the result. */
    readonly resultComponentType: string
  }[]
}

/** How a GPU is used. */
export interface GpuUse {
  /** Dawn's toggles that were set, or null where the entry point is not ours. */
  readonly toggles: readonly string[] | null
}

/** Called after each step; `read` copies one of its outputs, row-major. */
export type Watch = (
  step: Step,
  milliseconds: number,
  read: (output: Tensor) => Promise<Float32Array>,
) => void | Promise<void>

/** Values of the inputs of a program by name, row-major, each in the dtype of its tensor. */
export type Inputs = Readonly<Record<string, Uint8Array | Float32Array>>

/** The carried numbers of one stream. */
export interface StreamState {
  /** Copies of all states, in the order in which they were asked for. */
  read(): Promise<Float32Array[]>
  write(values: readonly Float32Array[]): Promise<void>
  /** Back to zero. */
  clear(): Promise<void>
  dispose(): void
}

/** A program in a backend's own form. */
export interface Replay {
  /**
   * Runs the program for one chunk of frames.
   * @param state carried numbers; changed
   * @param frame frames of the stream since its reset
   * @param inputs all inputs of the program, as `{ pixels }`
   * @returns the program's outputs, row-major
   */
  run(
    state: StreamState,
    frame: number,
    inputs: Inputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>>
  dispose(): void
}

/** One device with the weights of one model on it. */
export interface Backend {
  readonly device: Device
  /** Why it can compute no more (a lost GPU, a thread that died), or null. */
  readonly failure: string | null
  /**
   * Puts the elements from `first` on of a row-major array [blocks, rows, width] into columns
   * at..at+width−1 of a weight.
   * @param values Int8Array for a weight of kind int8
   */
  write(
    weight: Weight,
    values: Float32Array | Int8Array,
    first: number,
    width: number,
    at: number,
  ): void
  /** @param room bytes of workgroup memory to do with, for tests; those of the device by default */
  prepare(program: Program, room?: number): Promise<Replay>
  /**
   * Allocates the states of one stream, all zero.
   * @param average how many frames the `average` steps of its programs count; 'all' unless given
   * @throws TrecvitError if they do not fit
   */
  createState(states: readonly State[], average?: Average): Promise<StreamState>
  dispose(): void
}
