/**
 * Reference implementation of each operation: plain loops in float64 over row-major weights. Slow
 * but short. All backends are compared with it. The formula is above each function, with the
 * letters of src/program/ops.
 */
import type { Backend, Device, Inputs, Replay, StreamState, Watch } from '../src/backend/backend.ts'
import {
  type Average,
  averageFrames,
  type Buffer,
  columnsOf,
  type Op,
  type Program,
  rowsOf,
  type State,
  type Step,
  type StepOf,
  sizeOf,
  statesFor,
  type Tensor,
  type Weight,
} from '../src/program/program.ts'
import { training } from './train/reference.ts'

/** Memory of a step. */
export interface Memory {
  /** Rows of a tensor. Writing to them changes the tensor. */
  rows(tensor: Tensor): Float64Array[]
  weight(weight: Weight): Float64Array
  state(state: State): Float64Array
  /** Frames since the reset, before this chunk. */
  readonly frame: number
  /** Frames of the stream's window or half-life. */
  readonly averageFrames: number
}

const EPSILON = 1e-6

/** 1 / (1 + e^−x) */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
/**
 * 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) = x·sigmoid(2·√(2/π)·(x + 0.044715·x³)). The second
 * form loses no digits where tanh is near −1.
 */
export const gelu = (x: number): number =>
  x === -Infinity ? 0 : x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))
const activations = { none: (x: number) => x, gelu, tanh: Math.tanh }

const sum = (
  values: ArrayLike<number>,
  of: (value: number) => number = (value) => value,
): number => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += of(values[i]!)
  return total
}

/** e^(x − max x) / Σ e^(x − max x) */
export function softmaxOf(x: Float64Array): Float64Array {
  const largest = x.reduce((one, other) => Math.max(one, other), -Infinity)
  const exponentials = x.map((value) => Math.exp(value - largest))
  const total = sum(exponentials)
  return exponentials.map((value) => value / total)
}

const operations: {
  [O in Op]: (step: StepOf<O>, memory: Memory) => void
} = {
  patchify,
  linear,
  blockLinear,
  conv1d,
  rgLru,
  rmsNorm,
  layerNorm,
  attention,
  pool,
  average,
  softmax,
  ...training,
}

/**
 * out[f, lead + p, (y·px + x)·3 + colour] = pixels[f, row(p)·py + y, column(p)·px + x, colour],
 * bytes / 255; the first rows are 0
 */
function patchify(
  {
    outputs,
    inputs: { pixels },
    params: {
      lead,
      patchSize: [py, px],
    },
  }: StepOf<'patchify'>,
  memory: Memory,
): void {
  const [, , height, width] = pixels.shape as [number, number, number, number]
  const lines = memory.rows({
    ...pixels,
    shape: [pixels.shape[0]! * pixels.shape[1]! * height, width * 3],
    stride: width * 3,
  })
  const divisor = pixels.buffer.dtype === 'u8' ? 255 : 1
  const columns = width / px
  const tokens = lead + (height / py) * columns
  memory.rows(outputs.out).forEach((row, index) => {
    const frame = Math.floor(index / tokens)
    const patch = (index % tokens) - lead
    for (let i = 0; i < row.length; i++) {
      const y = Math.floor(i / (px * 3))
      const line = lines[frame * height + Math.floor(patch / columns) * py + y]
      row[i] = patch < 0 ? 0 : line![(patch % columns) * px * 3 + (i % (px * 3))]! / divisor
    }
  })
}

/**
 * out = f(x·kernel + bias) ⊙ multiply + add + table[row mod table.rows], f on columns
 * 0..activated−1
 */
function linear({ outputs, inputs, weights, params }: StepOf<'linear'>, memory: Memory): void {
  const kernel = memory.weight(weights.kernel)
  const bias = weights.bias && memory.weight(weights.bias)
  const table = weights.table && memory.weight(weights.table)
  const multiply = inputs.multiply && memory.rows(inputs.multiply)
  const add = inputs.add && memory.rows(inputs.add)
  const f = activations[params.activation]
  const x = memory.rows(inputs.x)
  const n = weights.kernel.columns
  memory.rows(outputs.out).forEach((row, i) => {
    for (let j = 0; j < n; j++) {
      let z = 0
      for (let k = 0; k < weights.kernel.rows; k++) z += x[i]![k]! * kernel[k * n + j]!
      if (bias) z += bias[j]!
      if (j < params.activated) z = f(z)
      if (multiply) z *= multiply[i]![j]!
      if (add) z += add[i]![j]!
      if (table) z += table[(i % weights.table!.rows) * n + j]!
      row[j] = z
    }
  })
}

/** out[.., q·N + o] = Σ_i x[.., q·K + i]·kernel[q, i, o] + bias[q, o] */
function blockLinear({ outputs, inputs, weights }: StepOf<'blockLinear'>, memory: Memory): void {
  const kernel = memory.weight(weights.kernel)
  const bias = memory.weight(weights.bias)
  const x = memory.rows(inputs.x)
  const { blocks, rows: k, columns: n } = weights.kernel
  memory.rows(outputs.out).forEach((row, index) => {
    for (let q = 0; q < blocks; q++) {
      for (let o = 0; o < n; o++) {
        let z = bias[q * n + o]!
        for (let i = 0; i < k; i++) z += x[index]![q * k + i]! * kernel[(q * k + i) * n + o]!
        row[q * n + o] = z
      }
    }
  })
}

/**
 * out[t] = bias + Σ_j kernel[k−1−j] ⊙ x[t−j]. past [b, k−1, n, e] has the inputs before the chunk,
 * oldest first; afterwards the last inputs of the chunk.
 */
function conv1d({ outputs, inputs, weights, states }: StepOf<'conv1d'>, memory: Memory): void {
  const [b, t, n, e] = outputs.out.shape as [number, number, number, number]
  const kernel = memory.weight(weights.kernel)
  const bias = memory.weight(weights.bias)
  const past = memory.state(states.past)
  const x = memory.rows(inputs.x)
  const out = memory.rows(outputs.out)
  const history = weights.kernel.rows - 1
  for (let video = 0; video < b; video++) {
    for (let token = 0; token < n; token++) {
      // The past and the chunk as one list of frames: frame t of the chunk has index history + t.
      const slot = (index: number) =>
        past.subarray(
          ((video * history + index) * n + token) * e,
          ((video * history + index) * n + token + 1) * e,
        )
      const frames = Array.from({ length: history + t }, (_, index) =>
        index < history ? slot(index).slice() : x[(video * t + index - history) * n + token]!,
      )
      for (let frame = 0; frame < t; frame++) {
        const row = out[(video * t + frame) * n + token]!
        row.set(bias)
        for (let tap = 0; tap <= history; tap++) {
          for (let c = 0; c < e; c++)
            row[c] = row[c]! + kernel[tap * e + c]! * frames[frame + tap]![c]!
        }
      }
      for (let index = 0; index < history; index++) slot(index).set(frames[t + index]!)
    }
  }
}

/**
 * γ and ρ are the sigmoids of gates [.., h, 2, e/h], a = exp(decay ⊙ ρ),
 * s[t] = a ⊙ s[t−1] + √(1 − a²) ⊙ γ ⊙ v[t], out = s ⊙ y. On the first frame after a reset
 * s = γ ⊙ v. 1 − a² is computed as −expm1(2·decay·ρ), because 1 − exp(..) loses all digits when a
 * is near 1.
 */
function rgLru(
  { outputs, inputs, weights, states, params: { heads } }: StepOf<'rgLru'>,
  memory: Memory,
): void {
  const [b, t, n, e] = outputs.out.shape as [number, number, number, number]
  const decay = memory.weight(weights.decay)
  const s = memory.state(states.s)
  const [v, gates, y, out] = [inputs.v, inputs.gates, inputs.y, outputs.out].map((tensor) =>
    memory.rows(tensor),
  ) as [Float64Array[], Float64Array[], Float64Array[], Float64Array[]]
  const width = e / heads
  for (let row = 0; row < b * t * n; row++) {
    const frame = Math.floor(row / n) % t
    const unit = Math.floor(row / (t * n)) * n + (row % n)
    for (let c = 0; c < e; c++) {
      const gate = Math.floor(c / width) * 2 * width + (c % width)
      const gated = sigmoid(gates[row]![gate]!) * v[row]![c]!
      const logA = decay[c]! * sigmoid(gates[row]![gate + width]!)
      const at = unit * e + c
      s[at] =
        memory.frame + frame === 0
          ? gated
          : Math.exp(logA) * s[at]! + Math.sqrt(-Math.expm1(2 * logA)) * gated
      out[row]![c] = s[at]! * y[row]![c]!
    }
  }
}

/** out = x / √(mean(x²) + 1e-6) · (1 + scale) */
function rmsNorm({ outputs, inputs, weights }: StepOf<'rmsNorm'>, memory: Memory): void {
  const scale = memory.weight(weights.scale)
  const out = memory.rows(outputs.out)
  memory.rows(inputs.x).forEach((x, i) => {
    const rms = Math.sqrt(sum(x, (value) => value * value) / x.length + EPSILON)
    out[i]!.set(x.map((value, c) => (value / rms) * (1 + scale[c]!)))
  })
}

/** out = (x − μ) / √(σ² + 1e-6) · scale + bias */
function layerNorm({ outputs, inputs, weights }: StepOf<'layerNorm'>, memory: Memory): void {
  const scale = memory.weight(weights.scale)
  const bias = memory.weight(weights.bias)
  const out = memory.rows(outputs.out)
  memory.rows(inputs.x).forEach((x, i) => {
    const mean = sum(x) / x.length
    const deviation = Math.sqrt(sum(x, (value) => (value - mean) ** 2) / x.length + EPSILON)
    out[i]!.set(x.map((value, c) => ((value - mean) / deviation) * scale[c]! + bias[c]!))
  })
}

/** out[i] = Σ_j p[j]·v[j], p = softmax_j(q[i]·k[j] / √r), for each frame and head */
function attention(
  { outputs, inputs, params: { heads } }: StepOf<'attention'>,
  memory: Memory,
): void {
  const nq = outputs.out.shape[2]!
  const n = inputs.k.shape[2]!
  const r = columnsOf(outputs.out) / heads
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((tensor) => memory.rows(tensor)) as [
    Float64Array[],
    Float64Array[],
    Float64Array[],
  ]
  memory.rows(outputs.out).forEach((row, i) => {
    const first = Math.floor(i / nq) * n
    for (let from = 0; from < heads * r; from += r) {
      const scores = new Float64Array(n)
      for (let j = 0; j < n; j++) {
        for (let c = from; c < from + r; c++)
          scores[j] = scores[j]! + (q[i]![c]! * k[first + j]![c]!) / Math.sqrt(r)
      }
      const p = softmaxOf(scores)
      for (let c = from; c < from + r; c++) {
        let total = 0
        for (let j = 0; j < n; j++) total += p[j]! * v[first + j]![c]!
        row[c] = total
      }
    }
  })
}

/** out[b, t] = Σ_i x[b, t, i] / n */
function pool({ outputs, inputs: { x } }: StepOf<'pool'>, memory: Memory): void {
  const n = x.shape[2]!
  const rows = memory.rows(x)
  memory.rows(outputs.out).forEach((row, frame) => {
    for (let c = 0; c < row.length; c++)
      row[c] = sum(rows.slice(frame * n, (frame + 1) * n).map((token) => token[c]!)) / n
  })
}

/**
 * out[b, t] = Σ w·x / Σ w over the frames since the reset: w = 1 (all); 1 for the last n frames,
 * else 0 (window); or 2^(−age/halfLife). The state is a sum and 0 (all), a ring of the last n
 * frames (window), or both sums (half-life).
 */
function average(
  { outputs, inputs, states, params: { over } }: StepOf<'average'>,
  memory: Memory,
): void {
  const [b, t, , c] = outputs.out.shape as [number, number, number, number]
  const past = memory.state(states.past)
  const x = memory.rows(inputs.x)
  const out = memory.rows(outputs.out)
  const slots = over === 'window' ? memory.averageFrames : 2
  for (let row = 0; row < b * t; row++) {
    const slot = (index: number) =>
      past.subarray(
        (Math.floor(row / t) * slots + index) * c,
        (Math.floor(row / t) * slots + index + 1) * c,
      )
    const count = memory.frame + (row % t) + 1
    for (let i = 0; i < c; i++) {
      if (over === 'all') {
        slot(0)[i] = slot(0)[i]! + slot(1)[i]! + x[row]![i]!
        slot(1)[i] = 0
        out[row]![i] = slot(0)[i]! / count
      } else if (over === 'window') {
        slot((count - 1) % slots)[i] = x[row]![i]!
        const seen = Math.min(count, slots)
        out[row]![i] = sum(Array.from({ length: seen }, (_, index) => slot(index)[i]!)) / seen
      } else {
        const decay = 2 ** (-1 / memory.averageFrames)
        slot(0)[i] = slot(0)[i]! * decay + x[row]![i]!
        slot(1)[i] = slot(1)[i]! * decay + 1
        out[row]![i] = slot(0)[i]! / slot(1)[i]!
      }
    }
  }
}

/** out = softmax(x) over the last axis */
function softmax({ outputs, inputs }: StepOf<'softmax'>, memory: Memory): void {
  const out = memory.rows(outputs.out)
  memory.rows(inputs.x).forEach((x, i) => out[i]!.set(softmaxOf(x)))
}

/** Runs programs with the operations above. Memory is NaN until it is written. */
export class ReferenceBackend implements Backend {
  readonly device: Device = {
    backend: 'wasm',
    kernels: 'loops in float64',
    threads: 1,
    reason: null,
    gpu: null,
  }
  readonly lossReason = null
  readonly #weights: Map<string, Float64Array>

  constructor(weights: readonly Weight[]) {
    this.#weights = new Map(
      weights.map((weight) => [
        weight.name,
        new Float64Array(weight.blocks * weight.rows * weight.columns),
      ]),
    )
  }

  write(
    { name, columns }: Weight,
    values: Float32Array,
    first: number,
    width: number,
    at: number,
  ): void {
    const to = this.#weights.get(name)!
    values.forEach(
      (value, i) =>
        (to[Math.floor((first + i) / width) * columns + at + ((first + i) % width)] = value),
    )
  }

  async prepare(program: Program): Promise<Replay> {
    return {
      run: (state, frame, inputs, watch) =>
        this.#run(program, state as ReferenceState, frame, inputs as Inputs, watch),
      dispose: () => {},
    }
  }

  async createState(states: readonly State[], average: Average = 'all'): Promise<StreamState> {
    return new ReferenceState(statesFor(states, average), averageFrames(average))
  }

  dispose(): void {}

  async #run(
    program: Program,
    state: ReferenceState,
    frame: number,
    inputs: Inputs,
    watch?: Watch,
  ): Promise<Record<string, Float32Array>> {
    const buffers = new Map<Buffer, Float64Array>([
      ...Object.entries(program.inputs).map(
        ([name, { buffer }]) => [buffer, Float64Array.from(inputs[name]!)] as const,
      ),
    ])
    const rows = (tensor: Tensor) => {
      const buffer = buffers.get(tensor.buffer) ?? new Float64Array(tensor.buffer.size).fill(NaN)
      buffers.set(tensor.buffer, buffer)
      const { offset, stride, frameStride = 0 } = tensor
      const frameRows = frameStride ? tensor.shape[2]! : rowsOf(tensor)
      return Array.from({ length: rowsOf(tensor) }, (_, row) => {
        const [frame, token] = [Math.floor(row / frameRows), row % frameRows]
        const at = offset + frame * frameStride + token * stride
        return buffer.subarray(at, at + columnsOf(tensor))
      })
    }
    const read = (tensor: Tensor) => {
      const values = new Float32Array(sizeOf(tensor.shape))
      rows(tensor).forEach((row, index) => values.set(row, index * row.length))
      return values
    }
    const memory: Memory = {
      rows,
      frame,
      averageFrames: state.averageFrames,
      weight: (weight) => this.#weights.get(weight.name)!,
      state: (found) => state.values.get(found.name)!,
    }
    for (const step of program.steps) {
      const start = performance.now()
      const operation = operations[step.op] as (step: Step, memory: Memory) => void
      operation(step, memory)
      await watch?.(step, performance.now() - start, async (output) => read(output))
    }
    return Object.fromEntries(
      Object.entries(program.outputs).map(([name, tensor]) => [name, read(tensor)]),
    )
  }
}

class ReferenceState implements StreamState {
  readonly values: Map<string, Float64Array>
  readonly averageFrames: number

  constructor(states: readonly State[], averageFrames: number) {
    this.averageFrames = averageFrames
    this.values = new Map(states.map(({ name, shape }) => [name, new Float64Array(sizeOf(shape))]))
  }

  async read(): Promise<Float32Array[]> {
    return [...this.values.values()].map((values) => Float32Array.from(values))
  }

  async write(values: readonly Float32Array[]): Promise<void> {
    ;[...this.values.values()].forEach((to, index) => to.set(values[index]!))
  }

  async clear(): Promise<void> {
    for (const values of this.values.values()) values.fill(0)
  }

  dispose(): void {}
}
