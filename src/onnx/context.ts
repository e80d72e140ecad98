import {
  type Buffer,
  columnsOf,
  type State,
  sizeOf,
  type Tensor,
  type Weight,
} from '../program/program.ts'
import type { FloatType, Graph, Port, Value } from './graph.ts'
import { takeColumns, type Weights } from './weights.ts'

/** Columns from..from+count−1 of a matrix. */
export interface Columns {
  readonly from: number
  readonly count: number
}

/** [b, t, n, d] */
export type Shape4 = readonly [number, number, number, number]

/** Form in which a program is written. */
export interface Style {
  /** True: states are inputs and outputs. False: each run starts from a reset. */
  readonly stateful: boolean
  /** Number format of the matrices and of the products with them. */
  readonly dtype: FloatType
  /**
   * `plain`: standard operators. `fused`: com.microsoft.MultiHeadAttention, which only onnxruntime
   * supports, and which is faster there.
   */
  readonly attention: 'plain' | 'fused'
}

/** State that the operations of a program share while they are written as nodes. */
export class Context {
  readonly graph: Graph
  readonly dtype: Style['dtype']
  readonly attention: Style['attention']
  /** Frames between the reset and this chunk, [1]; null if each chunk starts from a reset. */
  readonly frames: Value | null
  readonly #weights: Weights
  readonly #next: (Port & { readonly value: Value })[] = []
  /** Tensors as their step writes them, by buffer. */
  readonly #written = new Map<Buffer, Tensor>()
  /** Values [rows, columns] by buffer, tokens and columns. */
  readonly #values = new Map<string, Value>()

  constructor(graph: Graph, weights: Weights, { stateful, dtype, attention }: Style) {
    this.graph = graph
    this.dtype = dtype
    this.attention = attention
    this.#weights = weights
    this.frames = stateful ? graph.input('frames', [1]) : null
  }

  /** Records the value [rows, count] of some columns of a tensor that a step writes. */
  write(tensor: Tensor, { from, count }: Columns, value: Value): void {
    this.#written.set(tensor.buffer, tensor)
    this.#values.set(key(tensor.buffer, 0, tokensOf(tensor), from, count), value)
  }

  /** Returns the value [rows, columns] of a tensor or of some of its columns. */
  read(tensor: Tensor, { from, count }: Columns = { from: 0, count: columnsOf(tensor) }): Value {
    const { buffer, offset, shape } = tensor
    const whole = this.#written.get(buffer)!
    const place = offset - whole.offset + from
    const [token, column] = [Math.floor(place / whole.stride), place % whole.stride]
    const [tokens, all] = [tokensOf(tensor), tokensOf(whole)]
    const wanted = key(buffer, token, tokens, column, count)
    let value = this.#values.get(wanted)
    if (value !== undefined) return value
    if (tokens < all) {
      const frames = shape[0]! * shape[1]!
      const rows = this.read(whole, { from: column, count })
      const byFrame = this.reshape(rows, frames, all, count)
      value = this.reshape(this.slice(byFrame, 1, token, tokens), frames * tokens, count)
    } else {
      value = this.slice(this.read(whole), 1, column, count)
    }
    this.#values.set(wanted, value)
    return value
  }

  /** Returns columns of a weight as a constant [blocks,] rows, columns. Vectors are [columns]. */
  weight(
    { name, blocks, rows, columns }: Weight,
    { from, count }: Columns = { from: 0, count: columns },
    type: FloatType = 'f32',
  ): Value {
    const values = this.#weights.get(name)!
    return this.graph.constant(
      count === columns ? name : `${name} ${from}..${from + count - 1}`,
      [...(blocks > 1 ? [blocks] : []), ...(rows > 1 || blocks > 1 ? [rows] : []), count],
      () => takeColumns(values, blocks * rows, from, count),
      type,
    )
  }

  /** Returns a state before this chunk; null if it is zero. */
  state({ name, shape }: State): Value | null {
    return this.frames && sizeOf(shape) ? this.graph.input(name, shape) : null
  }

  /** Sets the value of a state after this chunk. Does nothing for graphs without states. */
  setState({ name, shape }: State, value: () => Value): void {
    if (this.frames && sizeOf(shape)) this.#next.push({ name, shape, value: value() })
  }

  /** Adds the states after this chunk of t frames as outputs. */
  writeStates(t: number): void {
    const { graph, frames } = this
    if (!frames) return
    graph.scope = frames
    const value = graph.node('Add', [frames, graph.scalar(t)])
    for (const next of [{ name: frames, shape: [1], value }, ...this.#next])
      graph.output(nextOf(next.name), next.value, next.shape)
  }

  reshape(x: Value, ...shape: readonly number[]): Value {
    return this.graph.node('Reshape', [x, this.graph.integers(...shape)])
  }

  transpose(x: Value, ...perm: readonly number[]): Value {
    return this.graph.node('Transpose', [x], { perm })
  }

  /** Splits a value into parts of equal length along an axis. */
  split(x: Value, axis: number, count: number): readonly Value[] {
    return count === 1 ? [x] : this.graph.nodes('Split', [x], count, { axis, num_outputs: count })
  }

  /** Returns elements from..from+count−1 of an axis. */
  slice(x: Value, axis: number, from: number, count: number): Value {
    const { graph } = this
    const [start, end, axes] = [from, from + count, axis].map((value) => graph.integers(value))
    return graph.node('Slice', [x, start!, end!, axes!])
  }
}

/** Returns the name of the output that holds a state after the chunk. */
export function nextOf(state: string): string {
  return `next/${state}`
}

function tokensOf({ shape }: Tensor): number {
  return shape[2]!
}

function key(buffer: Buffer, ...place: readonly number[]): string {
  return [buffer.name, ...place].join(' ')
}
