import { TrecvitError } from '../base/error.ts'

/**
 * A recorded model: a flat list of steps over tensors. Backends turn it into their own form and
 * replay it for every chunk of frames.
 */

/** One piece of memory, known by its name. */
export interface Buffer {
  readonly name: string
  readonly dtype: 'f32' | 'u8'
  /** Number of elements. */
  readonly size: number
}

/**
 * Rows of numbers in a buffer. All axes but the last are flattened into rows; row i begins at
 * element `offset + i·stride`. So columns of a matrix and one token of every frame are tensors too,
 * without a copy.
 */
export interface Tensor {
  readonly buffer: Buffer
  /** Element where row 0 begins. */
  readonly offset: number
  readonly shape: readonly number[]
  /** Elements from one row to the next. */
  readonly stride: number
}

/** float32 numbers carried from chunk to chunk, zero after a reset. */
export interface State {
  readonly name: string
  readonly shape: readonly number[]
  /**
   * Set for the ring of a window, [b, 1, c] in a program. Each stream has as many frames there as
   * its window (`statesFor`), so only the last state of a program can be one.
   */
  readonly ring?: true
  /** Set for sums over all frames. Rounded to half-precision they would spoil each later answer. */
  readonly sum?: true
}

/**
 * Weights as one step reads them: `blocks` arrays [rows, columns], row-major (a vector is one row).
 * A `matrix` is what rows are multiplied with, and a backend packs it as it likes; `int8` is one of
 * whole numbers −63..63, whose scales are a weight of their own; `rows` are read as they are. Where
 * they come from stands in model/weights.ts.
 */
export interface Weight {
  readonly name: string
  readonly kind: 'matrix' | 'int8' | 'rows'
  readonly blocks: number
  readonly rows: number
  readonly columns: number
}

/** Name of the tensor with the scales of an int8 matrix, in checkpoints and in a program. */
export function scalesOf(matrix: string): string {
  return `${matrix}/scale`
}

/** f(x) at the end of `linear`; gelu is the tanh form. */
export type Activation = 'none' | 'gelu' | 'tanh'

/** How a stream weighs the frames before the current one. */
export type Average = 'all' | { readonly frames: number } | { readonly halfLife: number }

/** The part of an average that a program is recorded for. How many frames is up to each stream. */
export type AverageKind = 'all' | 'window' | 'halfLife'

interface StepOf<Op extends string, Inputs, Weights, States, Params> {
  readonly op: Op
  /** Where in the model, in the official parameter names; the label in traces and profiles. */
  readonly name: string
  readonly output: Tensor
  readonly inputs: Inputs
  readonly weights: Weights
  readonly states: States
  readonly params: Params
}

type None = Readonly<Record<never, never>>

/**
 * output[f, lead + p] = pixels of patch p of frame f, in order (y, x, colour), u8 divided by 255;
 * output[f, 0..lead−1] = 0.
 */
export type Patchify = StepOf<
  'patchify',
  { readonly pixels: Tensor },
  None,
  None,
  { readonly lead: number; readonly patchSize: readonly [number, number] }
>
/**
 * output = f(x·kernel + bias) ⊙ multiply + add + table[row mod table.rows]; f acts on columns
 * 0..activated−1 only. With `scales` the kernel is scales ⊙ whole numbers, and each row of x is
 * rounded to 255 steps of its largest value.
 */
export type Linear = StepOf<
  'linear',
  { readonly x: Tensor; readonly multiply?: Tensor; readonly add?: Tensor },
  {
    readonly kernel: Weight
    readonly scales?: Weight
    readonly bias?: Weight
    readonly table?: Weight
  },
  None,
  { readonly activation: Activation; readonly activated: number }
>
/** output[.., q·N + o] = Σ_i x[.., q·K + i]·kernel[q, i, o] + bias[q, o]. */
export type BlockLinear = StepOf<
  'blockLinear',
  { readonly x: Tensor },
  { readonly kernel: Weight; readonly bias: Weight },
  None,
  None
>
/**
 * output[t] = bias + Σ_j kernel[k−1−j] ⊙ x[t−j]; inputs before the chunk come from the state `past`
 * [b, k−1, n, e], oldest first.
 */
export type Conv1d = StepOf<
  'conv1d',
  { readonly x: Tensor },
  { readonly kernel: Weight; readonly bias: Weight },
  { readonly past: State },
  None
>
/**
 * s[t] = a ⊙ s[t−1] + √(1−a²) ⊙ γ ⊙ v[t], a = exp(decay ⊙ ρ), γ and ρ the sigmoids of the gates [h,
 * 2, e/h]; on the first frame after a reset s = γ ⊙ v. output = s ⊙ y. The state `s` is [b, n, e].
 */
export type RgLru = StepOf<
  'rgLru',
  { readonly v: Tensor; readonly gates: Tensor; readonly y: Tensor },
  { readonly decay: Weight },
  { readonly s: State },
  { readonly heads: number }
>
/** output = x / √(mean(x²) + 1e-6) · (1 + scale). */
export type RmsNorm = StepOf<
  'rmsNorm',
  { readonly x: Tensor },
  { readonly scale: Weight },
  None,
  None
>
/** output = (x − mean) / √(variance + 1e-6) · scale + bias. */
export type LayerNorm = StepOf<
  'layerNorm',
  { readonly x: Tensor },
  { readonly scale: Weight; readonly bias: Weight },
  None,
  None
>
/** output = softmax(q·kᵀ/√r)·v for each frame and head; q may have fewer rows than k and v. */
export type Attention = StepOf<
  'attention',
  { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  None,
  None,
  { readonly heads: number }
>
/** output[b, t] = mean over the tokens of x[b, t]. */
export type Pool = StepOf<'pool', { readonly x: Tensor }, None, None, None>
/**
 * output[b, t] = mean of x[b] over the frames since the reset: all of them, the last n, or weighted
 * by 2^(−age/halfLife). n and halfLife come with the stream. The state `past` is [b, 2, c], a sum
 * and its rounding error (all) or a sum and its weights (half-life), or [b, n, c], a ring of the
 * last n frames.
 */
export type AverageStep = StepOf<
  'average',
  { readonly x: Tensor },
  None,
  { readonly past: State },
  { readonly over: AverageKind }
>
/** output = softmax over the last axis. */
export type Softmax = StepOf<'softmax', { readonly x: Tensor }, None, None, None>

export type Step =
  | Patchify
  | Linear
  | BlockLinear
  | Conv1d
  | RgLru
  | RmsNorm
  | LayerNorm
  | Attention
  | Pool
  | AverageStep
  | Softmax

/** Name of an operation: the stem of its file in assembly/, gpu/ and test/. */
export type Op = Step['op']

/** What is left after a recording. */
export interface Program {
  /** Videos side by side. */
  readonly b: number
  /** Frames of each video in one chunk. */
  readonly t: number
  /** Tensors that the caller fills before each replay, by name: `pixels` [b, t, H, W, 3] … */
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly steps: readonly Step[]
  /** Tensors that the caller gets back, by name. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Carried numbers, in the order in which a snapshot stores them. */
  readonly states: readonly State[]
}

/** The kind of program that a stream with this average replays. */
export function kindOf(average: Average): AverageKind {
  if (average === 'all') return 'all'
  return 'frames' in average ? 'window' : 'halfLife'
}

/** Frames of a window, or until a weight halves; 0 for all frames. */
export function averageFrames(average: Average): number {
  if (average === 'all') return 0
  return 'frames' in average ? average.frames : average.halfLife
}

/** The states of a program as a stream with this average has them: rings have their size. */
export function statesFor(states: readonly State[], average: Average): State[] {
  return states.map((state) => {
    const { name, shape, ring } = state
    if (!ring) return state
    if (kindOf(average) !== 'window') {
      const got = JSON.stringify(average)
      throw new TrecvitError(`State "${name}" expected a window { frames }, got ${got}`)
    }
    return { name, shape: shape.map((side, axis) => (axis === 1 ? averageFrames(average) : side)) }
  })
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** Rows of a tensor: all axes but the last, flattened. */
export function rowsOf(tensor: Tensor): number {
  return sizeOf(tensor.shape.slice(0, -1))
}

/** Columns of a tensor: its last axis. */
export function columnsOf(tensor: Tensor): number {
  return tensor.shape[tensor.shape.length - 1]!
}

/** The tensors that a step reads. */
export function inputsOf(step: Step): Tensor[] {
  return Object.values(step.inputs as Record<string, Tensor | undefined>).filter(
    (tensor) => tensor !== undefined,
  )
}

/** The weights that a step reads. */
export function weightsOf(step: Step): Weight[] {
  return Object.values(step.weights as Record<string, Weight | undefined>).filter(
    (weight) => weight !== undefined,
  )
}

/** The states that a step reads and writes. */
export function statesOf(step: Step): State[] {
  return Object.values(step.states as Record<string, State>)
}
