/** The weights of a model on a GPU. This file is imported on demand. */
import { quads } from '../../program/ops/launch.ts'
import { scalesOf, type Weight } from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'
import { allocate } from './allocate.ts'
import type { Halves } from './halves.ts'

/**
 * Bytes of weights after which the queue is submitted. Until then implementations hold a copy of
 * the written values.
 */
const FLUSH = 1 << 25

/** A buffer for each weight. That of an int8 matrix ends with its scales. */
export class WeightBuffers {
  readonly #queue: GPUQueue
  readonly #dtype: MatrixDType
  readonly #halves: Halves | undefined
  readonly #buffers: ReadonlyMap<string, GPUBuffer>
  /** The int8 matrices by the names of their scales. */
  readonly #scaled: ReadonlyMap<string, Weight>
  /** Bound in place of what a step does not have. */
  readonly #none: GPUBuffer
  #written = 0

  private constructor(
    queue: GPUQueue,
    dtype: MatrixDType,
    halves: Halves | undefined,
    buffers: ReadonlyMap<string, GPUBuffer>,
    scaled: ReadonlyMap<string, Weight>,
    none: GPUBuffer,
  ) {
    this.#queue = queue
    this.#dtype = dtype
    this.#halves = halves
    this.#buffers = buffers
    this.#scaled = scaled
    this.#none = none
  }

  /**
   * Allocates the buffers; they are zero until written.
   * @param spareOf returns the zeros after a weight, in bytes
   * @throws TrecvitError if they do not fit
   */
  static async create(
    device: GPUDevice,
    weights: readonly Weight[],
    dtype: MatrixDType,
    spareOf: (weight: Weight) => number,
  ): Promise<WeightBuffers> {
    const matrices = weights.filter(({ kind }) => kind === 'int8')
    const scaled = new Map(matrices.map((matrix) => [scalesOf(matrix.name), matrix]))
    const own = weights.filter(({ name }) => !scaled.has(name))
    const halves =
      dtype === 'f16' ? new (await import('./halves.ts')).Halves(device.queue) : undefined
    const wanted = own.map((weight) => ({
      name: weight.name,
      bytes: weightBytes(weight, dtype) + spareOf(weight),
    }))
    const [none, ...buffers] = await allocate(
      device,
      'The weights',
      [{ name: 'none', bytes: 0 }, ...wanted],
      dtype === 'f32' ? "dtype 'f16', which halves them, or a smaller model" : 'a smaller model',
    )
    const byName = new Map(own.map(({ name }, index) => [name, buffers[index]!]))
    return new WeightBuffers(device.queue, dtype, halves, byName, scaled, none!)
  }

  /** Returns the buffer of a weight, or one to bind in place of a weight or a tensor. */
  bufferOf(weight: Weight | undefined): GPUBuffer {
    return weight ? this.#buffers.get(weight.name)! : this.#none
  }

  /**
   * Writes values without a copy, because weights stay row-major: in one call if the part is as
   * wide as the weight, else row by row.
   */
  write(
    weight: Weight,
    given: Float32Array | Int8Array,
    first: number,
    width: number,
    at: number,
  ): void {
    const queue = this.#queue
    const values = given instanceof Int8Array ? packed(given, width, weight.rows) : given
    const matrix = this.#scaled.get(weight.name)
    const buffer = this.bufferOf(matrix ?? weight)
    const half = elementBytes(weight, this.#dtype) === 2
    const columns = quads(weight.columns)
    const begin = matrix ? weightBytes(matrix, this.#dtype) / 4 - weight.blocks * columns : 0
    const line = width === columns ? Infinity : width
    for (let from = 0; from < values.length; ) {
      const index = first + from
      const count = Math.min(line - (index % line), values.length - from)
      const to = begin + Math.floor(index / line) * columns + at + (index % line)
      if (half)
        this.#halves!.write(buffer, to, (values as Float32Array).subarray(from, from + count))
      else queue.writeBuffer(buffer, 4 * to, values as Float32Array<ArrayBuffer>, from, count)
      from += count
    }
    this.#written += values.byteLength
    if (this.#written < FLUSH) return
    queue.submit([])
    this.#written = 0
  }

  dispose(): void {
    for (const buffer of [...this.#buffers.values(), this.#none]) buffer.destroy()
  }
}

/**
 * Packs int8 values [blocks, rows, width]: each number has four rows of a column, zero beyond the
 * last row of a block.
 */
function packed(values: Int8Array, width: number, rows: number): Int32Array {
  const groups = Math.ceil(rows / 4)
  const numbers = new Int32Array((values.length / rows) * groups)
  const bytes = new Int8Array(numbers.buffer)
  values.forEach((value, index) => {
    const line = Math.floor(index / width)
    const row = line % rows
    const group = Math.floor(line / rows) * groups + Math.floor(row / 4)
    bytes[4 * (group * width + (index % width)) + (row % 4)] = value
  })
  return numbers
}

/** Bytes of an element of a weight. Only matrices can be float16: other weights are small. */
function elementBytes({ kind }: Weight, dtype: MatrixDType): 2 | 4 {
  return kind === 'matrix' && dtype === 'f16' ? 2 : 4
}

/**
 * Bytes of a weight on the GPU, row-major. Each number of an int8 matrix has four of its rows; the
 * scales of its columns follow.
 */
export function weightBytes(weight: Weight, dtype: MatrixDType): number {
  const { kind, blocks, columns } = weight
  const rows = kind === 'int8' ? Math.ceil(weight.rows / 4) + 1 : weight.rows
  return elementBytes(weight, dtype) * blocks * rows * quads(columns)
}
