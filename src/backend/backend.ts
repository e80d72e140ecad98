import type { Average, Program, State, Step, Tensor, Weight } from '../program/program.ts'

/**
 * Number format of the matrices of a model in memory. Everything else, sums included, is float32.
 * With `int8` the matrices of the encoder's layers are integers and products with them are exact;
 * all other matrices are float32.
 */
export type MatrixDType = 'f32' | 'f16' | 'int8'

/** The device a model runs on, and why no faster device was chosen. */
export interface Device {
  /** 'wasm' is the CPU. */
  readonly backend: 'wasm' | 'webgpu'
  /** The kernels: instruction set or GPU adapter, as text for users. */
  readonly kernels: string
  /** Threads that compute; 1 on a GPU. */
  readonly threads: number
  /** Why no faster device or build is used, or null. */
  readonly reason: string | null
  /** Description of the GPU, or null on the CPU. */
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
  /**
   * Optional features in use: `subgroups`, `timestamp-query`, and of WGSL
   * `packed_4x8_integer_dot_product`, which int8 kernels use.
   */
  readonly features: readonly string[]
  /** Limits of the device, in bytes or a number of buffers. */
  readonly limits: {
    /** The largest buffer. */
    readonly maxBufferSize: number
    /** The largest part of a buffer that a kernel may be given. */
    readonly maxStorageBufferBindingSize: number
    /** Memory that the invocations of a workgroup share. */
    readonly maxComputeWorkgroupStorageSize: number
    /** Buffers that a kernel may be given. Fused steps need 10; every device has 8. */
    readonly maxStorageBuffersPerShaderStage: number
  }
  /** Smallest and largest subgroup size, or null if unknown. */
  readonly subgroupSizes: readonly [number, number] | null
  /** Shapes of matrices that a subgroup multiplies in one instruction; empty if unknown. */
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
  /** Toggles that Dawn was started with, or null if another package started it. */
  readonly toggles: readonly string[] | null
}

/** Called after each step; `read` copies one of its outputs, row-major. */
export type Watch = (
  step: Step,
  milliseconds: number,
  read: (output: Tensor) => Promise<Float32Array>,
) => void | Promise<void>

/** Height and width in pixels. */
export interface PixelsSize {
  readonly height: number
  readonly width: number
}

/** Which part of a picture becomes the pixels of a model, in any proportion. */
export interface Crop {
  /** Size of the picture. */
  readonly columns: number
  readonly rows: number
  /** Columns and rows of the picture for a pixel. */
  readonly scaleX: number
  readonly scaleY: number
  /** First pixel in the resized picture. */
  readonly left: number
  readonly top: number
}

/** Pixels [height, width, 3] in the memory of a GPU, as bytes. */
export interface GpuPixels {
  /** The only backend that can use them. */
  readonly owner: Backend
  readonly buffer: GPUBuffer
  readonly byteLength: number
  /**
   * A copy for any backend. Rejects with a TrecvitError if the device is lost before the copy
   * completes.
   */
  readonly bytes: Promise<Uint8Array>
  /** Frees the buffer once it is copied. */
  free(): void
}

/** Reads pictures on a GPU. */
export interface PictureReader {
  /** Most columns or rows of a picture. */
  readonly maxSide: number
  /**
   * Reads a picture before it returns.
   * @param picture as WebGPU copies it to a texture: an ImageBitmap, a canvas ..
   * @throws DOMException if the picture may not be read, or is closed
   * @throws TypeError if this browser copies no such picture
   */
  read(picture: object, crop: Crop): GpuPixels
}

/** Values of the inputs of a program by name, row-major, each in the dtype of its tensor. */
export type Inputs = Readonly<Record<string, Uint8Array | Float32Array>>

/** Inputs for a GPU, where bytes may be in its memory. */
export type GpuInputs = Readonly<Record<string, Uint8Array | Float32Array | GpuPixels>>

/** Whether an input is in the memory of a GPU. */
export const isOnGpu = (input: GpuInputs[string]): input is GpuPixels => 'owner' in input

/** The states of one stream in the memory of a backend. */
export interface StreamState {
  /** Returns copies of all states, in the order of `createState`. */
  read(): Promise<Float32Array[]>
  write(values: readonly Float32Array[]): Promise<void>
  /** Sets all states to zero. */
  clear(): Promise<void>
  dispose(): void
}

/** A program in a backend's own form. */
export interface Replay {
  /**
   * Runs the program for one chunk of frames.
   * @param state states of the stream; changed
   * @param frame frames of the stream since its reset
   * @param inputs all inputs of the program, as `{ pixels }`; on a GPU only those of its backend
   * @returns the program's outputs, row-major
   */
  run(
    state: StreamState,
    frame: number,
    inputs: GpuInputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>>
  dispose(): void
}

/** One device with the weights of one model on it. */
export interface Backend {
  readonly device: Device
  /** Why the backend can no longer compute (GPU lost, CPU thread failed), or null. */
  readonly lossReason: string | null
  /**
   * Writes the elements from `first` on of a row-major array [blocks, rows, width] to columns
   * at..at+width−1 of a weight.
   * @param values Int8Array for a weight of kind int8, then all of the array
   */
  write(
    weight: Weight,
    values: Float32Array | Int8Array,
    first: number,
    width: number,
    at: number,
  ): void
  /** @param room available bytes of workgroup memory, for tests; by default those of the device */
  prepare(program: Program, room?: number): Promise<Replay>
  /**
   * Allocates the states of one stream, all zero.
   * @param average frames that the `average` steps of its programs cover; 'all' by default
   * @throws TrecvitError if they do not fit
   */
  createState(states: readonly State[], average?: Average): Promise<StreamState>
  /**
   * Returns the picture reader for the size of the model's pixels, or a promise while it opens.
   * Only a GPU has one.
   */
  pictureReader?(size: PixelsSize): PictureReader | Promise<PictureReader>
  dispose(): void
}
