import { TrecvitError } from '../base/error.ts'
import { frameRowsOf, type Letters, match, shapeOf } from './axes.ts'
import { type AnyStep, argumentsByName, descriptionOf, OPS } from './describe.ts'
import type * as operations from './ops/index.ts'
import type { Fail, Operation, OutputsOf } from './ops/operation.ts'
import type { Op, Program, Step } from './program.ts'
import {
  type Buffer,
  columnsOf,
  frameStrideOf,
  type State,
  scalesOf,
  sizeOf,
  type Tensor,
  type Weight,
} from './tensor.ts'

/** Weights that a recording may use, by name. */
export type WeightTable = ReadonlyMap<string, Weight>

/** Records a step: its name, then the arguments of its operation. Returns `out` or all outputs. */
type Method<O> =
  O extends Operation<infer P, infer A>
    ? (name: string, ...args: A) => Written<OutputsOf<P>>
    : never

type Written<O> = O extends { readonly out: Tensor } ? Tensor : O

/** The methods of operations. */
export type Methods<T> = { readonly [O in keyof T]: Method<T[O]> }

/**
 * Records operations: a model calls these methods in order, and each call becomes a step of a
 * program. There is one method for each operation of ops/. It checks the shapes of its arguments
 * and infers the shapes of its outputs.
 * @throws TrecvitError with the operation, the expected shape and the actual shape
 */
export interface Recorder extends Methods<typeof operations> {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the static block defines the methods
export class Recorder {
  readonly b: number
  readonly t: number
  readonly #streams: number
  readonly #weights: WeightTable
  readonly #inputs: Record<string, Tensor> = {}
  readonly #steps: Step[] = []
  readonly #states: State[] = []
  readonly #names = new Set<string>()

  static {
    Recorder.define(Recorder.prototype, OPS)
  }

  /** Defines the methods of some operations. */
  protected static define(prototype: Recorder, ops: readonly Op[]): void {
    for (const op of ops)
      Object.defineProperty(prototype, op, {
        value(this: Recorder, name: string, ...args: unknown[]) {
          return this.#step(op, name, args)
        },
      })
  }

  /**
   * @param b batch size
   * @param t frames of each video in a chunk
   * @param weights weights that steps may read
   * @param streams number of streams that the batch consists of. A stream has the same results in
   * a batch as alone, so the sizes of one stream decide the variants of kernels
   */
  constructor(b: number, t: number, weights: WeightTable, streams: number = 1) {
    this.b = b
    this.t = t
    this.#streams = streams
    this.#weights = weights
  }

  /** The steps so far, in order of execution. */
  get steps(): readonly Step[] {
    return this.#steps
  }

  /** Adds the input `pixels`, `[b, t, height, width, 3]` of bytes 0..255 or float32 0..1. */
  pixels(height: number, width: number, dtype: 'u8' | 'f32'): Tensor {
    return this.input('pixels', [this.b, this.t, height, width, 3], dtype)
  }

  /** Adds an input with dense rows, which the caller writes before each replay. */
  input(name: string, shape: readonly number[], dtype: 'u8' | 'f32' = 'f32'): Tensor {
    return (this.#inputs[name] = tensorOf(name, shape, dtype))
  }

  /** Returns columns [from, from + count) of x without copying. */
  columns(x: Tensor, from: number, count: number): Tensor {
    checkRange(x, 'columns', columnsOf(x), from, count)
    return { ...x, offset: x.offset + from, shape: [...x.shape.slice(0, -1), count] }
  }

  /** Returns token `index` of each frame of x [b, t, n, d] as [b, t, 1, d] without copying. */
  token(x: Tensor, index: number): Tensor {
    return this.tokens(x, index, 1)
  }

  /** Returns tokens [from, from + count) of each frame of x [b, t, n, d] without copying. */
  tokens(x: Tensor, from: number, count: number): Tensor {
    const [b, t, n, d] = x.shape as [number, number, number, number]
    checkRange(x, 'tokens', n, from, count)
    const { buffer, stride } = x
    const frameStride = frameStrideOf(x)
    const view = { buffer, offset: x.offset + from * stride, shape: [b, t, count, d] }
    if (count === 1) return { ...view, stride: frameStride }
    return frameStride === count * stride ? { ...view, stride } : { ...view, stride, frameStride }
  }

  /**
   * Ends the recording. A replay produces these tensors and the new states.
   * @throws TrecvitError if an output has a frame stride
   */
  end(outputs: Record<string, Tensor>): Program {
    for (const [name, { buffer, frameStride }] of Object.entries(outputs))
      if (frameStride !== undefined)
        throw new TrecvitError(
          `Output "${name}" expected all tokens of a step, got some of "${buffer.name}"`,
        )
    const { b, t } = this
    return { b, t, inputs: this.#inputs, steps: this.#steps, outputs, states: this.#states }
  }

  #step(op: Op, name: string, args: readonly unknown[]): unknown {
    const fail = (expected: string): never => {
      throw new TrecvitError(`${op} "${name}" expected ${expected}`)
    }
    if (this.#names.has(name)) fail('a name of its own')
    const described = descriptionOf({ op })
    const { inputs, weights = {}, states = {} } = described
    const given = argumentsByName(described, args)
    const letters: Letters = { b: this.b, t: this.t }
    const step = { op, name, inputs: {}, weights: {}, states: {}, params: {} } as Open
    for (const [role, axes] of Object.entries({ ...weights, ...inputs } as Axes)) {
      const value = given[role]
      delete given[role]
      if (value === undefined) continue
      const part = role in inputs ? (value as Tensor) : this.#weight(value as string, fail)
      const mismatch = match(axes, part, letters)
      if ('buffer' in part) {
        if (mismatch) fail(`${role} to have ${mismatch}, got "${part.buffer.name}" [${part.shape}]`)
        step.inputs[role] = part
      } else {
        if (mismatch) fail(`weight "${part.name}" to have ${mismatch}`)
        step.weights[role] = part
        if (part.kind === 'int8') step.weights['scales'] = this.#weight(scalesOf(part.name), fail)
      }
    }
    // The other arguments are parameters. Those that are numbers are added to the axis letters and
    // share their namespace: a parameter must not have the name of an axis letter.
    step.params = described.complete?.(given, letters) ?? given
    for (const [param, value] of Object.entries(step.params))
      if (typeof value === 'number') letters[param] = value
    Object.assign(letters, described.sizes?.(letters, step as unknown as AnyStep, fail))
    for (const [role, axes] of Object.entries(states as Axes)) {
      const shape = shapeOf(axes, letters)
      step.states[role] = this.#state(`${name}/${role}`, shape, described.kind?.(step.params))
    }
    const outputs: Record<string, Tensor> = {}
    for (const [role, axes] of Object.entries(described.outputs)) {
      const own = role === 'out' ? name : `${name}/${role}`
      if (this.#names.has(own)) fail(`no other step named "${own}"`)
      this.#names.add(own)
      const shape = shapeOf(axes, letters, Object.values(step.inputs)[0])
      outputs[role] = tensorOf(own, shape, 'f32', strideOf(shape))
    }
    this.#names.add(name)
    const { shape } = Object.values(outputs)[0]!
    const [b = 1, t = 1, tokens = 1] = shape.slice(0, -1)
    const sizes = {
      ...{ frames: b * t, tokens, rows: sizeOf(shape.slice(0, -1)), count: sizeOf(shape) },
      frameRows: frameRowsOf(described.inputs as Axes, step.inputs, fail),
      streams: this.#streams,
      ...letters,
    }
    this.#steps.push({ ...step, outputs, sizes } as unknown as Step)
    return outputs['out'] ?? outputs
  }

  #state(name: string, shape: readonly number[], kind: Pick<State, 'ring' | 'sum'> = {}): State {
    // A window must be the last state: its size must not change the addresses of other states.
    const window = this.#states.find((state) => state.ring)
    if (window) {
      throw new TrecvitError(`State "${name}" expected a place before the window "${window.name}"`)
    }
    const state: State = { name, shape, ...kind }
    this.#states.push(state)
    return state
  }

  #weight(name: string, fail: Fail): Weight {
    return this.#weights.get(name) ?? fail(`a weight named "${name}", the table has none`)
  }
}

type Axes = Readonly<Record<string, string>>

/** @throws TrecvitError if from..from+count−1 are not among `all` columns or tokens of x */
function checkRange({ buffer }: Tensor, what: string, all: number, from: number, count: number) {
  if (!(from >= 0 && from + count <= all))
    throw new TrecvitError(
      `"${buffer.name}" expected ${what} within its ${all} ${what}, got ${count} from ${from} on`,
    )
}

/** A step that is being recorded. */
interface Open {
  readonly inputs: Record<string, Tensor>
  readonly weights: Record<string, Weight>
  readonly states: Record<string, State>
  params: Readonly<Record<string, unknown>>
}

/** Elements of 128 bytes: one cache line of a GPU, two of most CPUs. */
const LINE = 32

/**
 * Returns the elements from one row to the next. Rows of an even number of lines are padded by one
 * line. Without padding many rows map to the same few sets of the L1 cache, and loads wait for
 * stores whose addresses have the same low bits.
 */
function strideOf(shape: readonly number[]): number {
  const columns = shape[shape.length - 1]!
  return sizeOf(shape) > columns && columns % (2 * LINE) === 0 ? columns + LINE : columns
}

/** Returns a tensor in a new buffer. */
function tensorOf(
  name: string,
  shape: readonly number[],
  dtype: Buffer['dtype'],
  stride = shape[shape.length - 1]!,
): Tensor {
  return {
    buffer: { name, dtype, size: (sizeOf(shape) / shape[shape.length - 1]!) * stride },
    offset: 0,
    shape,
    stride,
  }
}
