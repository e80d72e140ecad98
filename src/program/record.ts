import { TrecvitError } from '../base/error.ts'
import {
  type Activation,
  type AverageKind,
  type Buffer,
  columnsOf,
  type Program,
  rowsOf,
  type State,
  type Step,
  scalesOf,
  sizeOf,
  type Tensor,
  type Weight,
} from './program.ts'

/** The weights that a recording may use, by name. */
export type WeightTable = ReadonlyMap<string, Weight>

/**
 * The interface of operations: a model calls these once, in order, and the calls become the steps
 * of a program. Every call checks the shapes of what it is given and infers the shape of what it
 * returns.
 * @throws TrecvitError naming the operation, the shape expected and the shape that came.
 */
export class Recorder {
  readonly b: number
  readonly t: number
  readonly #weights: WeightTable
  readonly #inputs: Record<string, Tensor> = {}
  readonly #steps: Step[] = []
  readonly #states: State[] = []
  readonly #names = new Set<string>()

  /**
   * @param b videos side by side @param t frames of each in a chunk @param weights what the steps
   * may read
   */
  constructor(b: number, t: number, weights: WeightTable) {
    this.b = b
    this.t = t
    this.#weights = weights
  }

  /** The pixels of a chunk: [b, t, height, width, 3], bytes 0..255 or float32 0..1. */
  pixels(height: number, width: number, dtype: 'u8' | 'f32'): Tensor {
    return this.input('pixels', [this.b, this.t, height, width, 3], dtype)
  }

  /** A tensor that the caller fills before each replay, under this name, with dense rows. */
  input(name: string, shape: readonly number[], dtype: 'u8' | 'f32' = 'f32'): Tensor {
    return (this.#inputs[name] = tensorOf(name, shape, dtype))
  }

  /** Columns [from, from + count) of x, without a copy. */
  columns(x: Tensor, from: number, count: number): Tensor {
    if (from < 0 || from + count > columnsOf(x))
      throw new TrecvitError(
        `"${x.buffer.name}" expected columns within its ${columnsOf(x)} columns, ` +
          `got ${count} from ${from} on`,
      )
    return { ...x, offset: x.offset + from, shape: [...x.shape.slice(0, -1), count] }
  }

  /** Token `index` of every frame of x [b, t, n, d], as [b, t, 1, d], without a copy. */
  token(x: Tensor, index: number): Tensor {
    const [b, t, n, d] = this.#frames('token', x)
    return { ...x, offset: x.offset + index * x.stride, stride: n * x.stride, shape: [b, t, 1, d] }
  }

  /** pixels [b, t, H, W, 3] → patch rows [b, t, lead + g, py·px·3], the first `lead` rows zero. */
  patchify(
    name: string,
    pixels: Tensor,
    params: { lead: number; patchSize: readonly [number, number] },
  ): Tensor {
    const [b, t, height, width, colours] = pixels.shape as [number, number, number, number, number]
    const [py, px] = params.patchSize
    this.#expect(
      'patchify',
      name,
      'pixels',
      pixels,
      height % py === 0 && width % px === 0 && colours === 3,
      `[b, t, H, W, 3] with H a multiple of ${py} and W of ${px}`,
    )
    return this.#step(
      { op: 'patchify', name, inputs: { pixels }, weights: {}, states: {}, params },
      [b, t, params.lead + (height / py) * (width / px), py * px * 3],
    )
  }

  /**
   * x [.., K] → f(x·kernel + bias) ⊙ multiply + add + table [.., N]; f acts on the first
   * `activated` columns (all unless given).
   */
  linear(
    name: string,
    x: Tensor,
    kernel: string,
    options: {
      bias?: string
      table?: string
      activation?: Activation
      activated?: number
      multiply?: Tensor
      add?: Tensor
    } = {},
  ): Tensor {
    const found = this.#weight('linear', name, kernel)
    const weights = {
      kernel: found,
      ...(found.kind === 'int8' && { scales: this.#weight('linear', name, scalesOf(kernel)) }),
      ...(options.bias !== undefined && { bias: this.#weight('linear', name, options.bias) }),
      ...(options.table !== undefined && { table: this.#weight('linear', name, options.table) }),
    }
    const columns = weights.kernel.columns
    const shape = [...x.shape.slice(0, -1), columns]
    this.#expect(
      'linear',
      name,
      'x',
      x,
      columnsOf(x) === weights.kernel.rows && weights.kernel.blocks === 1,
      `${weights.kernel.rows} columns`,
    )
    const inputs = {
      x,
      ...(options.multiply && { multiply: options.multiply }),
      ...(options.add && { add: options.add }),
    }
    for (const role of ['multiply', 'add'] as const) {
      const other = inputs[role]
      if (!other) continue
      this.#expect(
        'linear',
        name,
        role,
        other,
        rowsOf(other) === rowsOf(x) && columnsOf(other) === columns,
        `${rowsOf(x)} rows of ${columns} columns`,
      )
    }
    const activation = options.activation ?? 'none'
    const activated = activation === 'none' ? 0 : (options.activated ?? columns)
    return this.#step(
      { op: 'linear', name, inputs, weights, states: {}, params: { activation, activated } },
      shape,
    )
  }

  /** x [.., h·K] → [.., h·N]: a matrix of its own for each of h blocks of columns. */
  blockLinear(name: string, x: Tensor, kernel: string, bias: string): Tensor {
    const weights = {
      kernel: this.#weight('blockLinear', name, kernel),
      bias: this.#weight('blockLinear', name, bias),
    }
    const { blocks, rows, columns } = weights.kernel
    this.#expect(
      'blockLinear',
      name,
      'x',
      x,
      columnsOf(x) === blocks * rows,
      `${blocks}·${rows} columns`,
    )
    return this.#step({ op: 'blockLinear', name, inputs: { x }, weights, states: {}, params: {} }, [
      ...x.shape.slice(0, -1),
      blocks * columns,
    ])
  }

  /** x [b, t, n, e] → causal depthwise convolution over t, [b, t, n, e]. */
  conv1d(name: string, x: Tensor, kernel: string, bias: string): Tensor {
    const [b, , n, e] = this.#frames('conv1d', x)
    const weights = {
      kernel: this.#weight('conv1d', name, kernel),
      bias: this.#weight('conv1d', name, bias),
    }
    this.#expect(
      'conv1d',
      name,
      'x',
      x,
      e === weights.kernel.columns,
      `${weights.kernel.columns} columns`,
    )
    const past = this.#state(`${name}/past`, [b, weights.kernel.rows - 1, n, e])
    return this.#step(
      { op: 'conv1d', name, inputs: { x }, weights, states: { past }, params: {} },
      x.shape,
    )
  }

  /**
   * v, y [b, t, n, e] and gates [b, t, n, 2e] (for each head: input gate, then decay gate) → gated
   * recurrence ⊙ y, [b, t, n, e].
   */
  rgLru(name: string, v: Tensor, gates: Tensor, y: Tensor, decay: string, heads: number): Tensor {
    const [b, , n, e] = this.#frames('rgLru', v)
    const weights = { decay: this.#weight('rgLru', name, decay) }
    this.#expect(
      'rgLru',
      name,
      'v',
      v,
      e === weights.decay.columns && e % heads === 0,
      `${weights.decay.columns} columns in ${heads} heads`,
    )
    this.#expect(
      'rgLru',
      name,
      'gates',
      gates,
      columnsOf(gates) === 2 * e && rowsOf(gates) === rowsOf(v),
      `${rowsOf(v)} rows of ${2 * e} columns`,
    )
    this.#expect(
      'rgLru',
      name,
      'y',
      y,
      columnsOf(y) === e && rowsOf(y) === rowsOf(v),
      `${rowsOf(v)} rows of ${e} columns`,
    )
    const s = this.#state(`${name}/s`, [b, n, e])
    return this.#step(
      { op: 'rgLru', name, inputs: { v, gates, y }, weights, states: { s }, params: { heads } },
      v.shape,
    )
  }

  /** x [.., d] → root-mean-square norm [.., d]. */
  rmsNorm(name: string, x: Tensor, scale: string): Tensor {
    const weights = { scale: this.#weight('rmsNorm', name, scale) }
    this.#expect(
      'rmsNorm',
      name,
      'x',
      x,
      columnsOf(x) === weights.scale.columns,
      `${weights.scale.columns} columns`,
    )
    return this.#step(
      { op: 'rmsNorm', name, inputs: { x }, weights, states: {}, params: {} },
      x.shape,
    )
  }

  /** x [.., d] → layer norm [.., d]. */
  layerNorm(name: string, x: Tensor, scale: string, bias: string): Tensor {
    const weights = {
      scale: this.#weight('layerNorm', name, scale),
      bias: this.#weight('layerNorm', name, bias),
    }
    this.#expect(
      'layerNorm',
      name,
      'x',
      x,
      columnsOf(x) === weights.scale.columns,
      `${weights.scale.columns} columns`,
    )
    return this.#step(
      { op: 'layerNorm', name, inputs: { x }, weights, states: {}, params: {} },
      x.shape,
    )
  }

  /** q [b, t, nq, d], k and v [b, t, n, d] → attention within each frame, [b, t, nq, d]. */
  attention(name: string, q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
    const [b, t, , d] = this.#frames('attention', q)
    const [, , n] = this.#frames('attention', k)
    if (d % heads)
      throw new TrecvitError(
        `attention "${name}" expected ${d} columns to divide into ${heads} heads`,
      )
    for (const [role, other] of [
      ['k', k],
      ['v', v],
    ] as const) {
      this.#expect(
        'attention',
        name,
        role,
        other,
        String(other.shape) === String([b, t, n, d]),
        `shape [${[b, t, n, d]}]`,
      )
    }
    return this.#step(
      { op: 'attention', name, inputs: { q, k, v }, weights: {}, states: {}, params: { heads } },
      q.shape,
    )
  }

  /** x [b, t, n, d] → mean over n, [b, t, 1, d]. */
  pool(name: string, x: Tensor): Tensor {
    const [b, t, , d] = this.#frames('pool', x)
    return this.#step({ op: 'pool', name, inputs: { x }, weights: {}, states: {}, params: {} }, [
      b,
      t,
      1,
      d,
    ])
  }

  /** x [b, t, 1, c] → mean over the frames since the reset, for each frame, [b, t, 1, c]. */
  average(name: string, x: Tensor, over: AverageKind): Tensor {
    const [b, , n, c] = this.#frames('average', x)
    this.#expect('average', name, 'x', x, n === 1, 'one row a frame')
    const past =
      over === 'window'
        ? this.#state(`${name}/past`, [b, 1, c], { ring: true })
        : this.#state(`${name}/past`, [b, 2, c], { sum: true })
    return this.#step(
      { op: 'average', name, inputs: { x }, weights: {}, states: { past }, params: { over } },
      x.shape,
    )
  }

  /** x [.., c] → softmax over the last axis. */
  softmax(name: string, x: Tensor): Tensor {
    return this.#step(
      { op: 'softmax', name, inputs: { x }, weights: {}, states: {}, params: {} },
      x.shape,
    )
  }

  /** Ends the recording: these tensors, and the states, are what a replay leaves behind. */
  end(outputs: Record<string, Tensor>): Program {
    const { b, t } = this
    return { b, t, inputs: this.#inputs, steps: this.#steps, outputs, states: this.#states }
  }

  #step(step: StepWithoutOutput, shape: readonly number[]): Tensor {
    if (this.#names.has(step.name))
      throw new TrecvitError(`${step.op} "${step.name}" expected a name of its own`)
    this.#names.add(step.name)
    const output = tensorOf(step.name, shape, 'f32', strideOf(shape))
    this.#steps.push({ ...step, output } as Step)
    return output
  }

  #state(name: string, shape: readonly number[], kind: Pick<State, 'ring' | 'sum'> = {}): State {
    // Where a state begins in memory must not depend on the size of a window.
    const window = this.#states.find((state) => state.ring)
    if (window) {
      throw new TrecvitError(`State "${name}" expected a place before the window "${window.name}"`)
    }
    const state: State = { name, shape, ...kind }
    this.#states.push(state)
    return state
  }

  #weight(op: string, name: string, weight: string): Weight {
    const found = this.#weights.get(weight)
    if (!found)
      throw new TrecvitError(
        `${op} "${name}" expected a weight named "${weight}", the table has none`,
      )
    return found
  }

  #frames(op: string, x: Tensor): [b: number, t: number, n: number, d: number] {
    if (x.shape.length !== 4 || x.shape[0] !== this.b || x.shape[1] !== this.t) {
      throw new TrecvitError(
        `${op} expected "${x.buffer.name}" to be [b=${this.b}, t=${this.t}, n, d], ` +
          `got [${x.shape}]`,
      )
    }
    return x.shape as [number, number, number, number]
  }

  #expect(
    op: string,
    name: string,
    role: string,
    tensor: Tensor,
    fits: boolean,
    expected: string,
  ): void {
    if (!fits)
      throw new TrecvitError(
        `${op} "${name}" expected ${role} to have ${expected}, ` +
          `got "${tensor.buffer.name}" [${tensor.shape}]`,
      )
  }
}

type WithoutOutput<S> = S extends Step ? Omit<S, 'output'> : never
type StepWithoutOutput = WithoutOutput<Step>

/** Elements of 128 bytes: a line of a GPU's cache, two of most processors'. */
const LINE = 32

/**
 * Elements from one row to the next. Rows that are an even number of lines have a line between
 * them: else many begin at the same few places of the first-level cache, and loads wait for stores
 * to addresses that end alike.
 */
function strideOf(shape: readonly number[]): number {
  const columns = shape[shape.length - 1]!
  return sizeOf(shape) > columns && columns % (2 * LINE) === 0 ? columns + LINE : columns
}

/** A tensor in a buffer of its own. */
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
