import { TrecvitError } from '../base/error.ts'
import {
  type Buffer,
  columnsOf,
  inputsOf,
  outputsOf,
  rowsOf,
  type State,
  type Step,
  type Tensor,
  type Weight,
  weightsOf,
} from '../program/program.ts'
import { carriedName } from './carried.ts'
import type { TrainingRecorder } from './recorder.ts'
import { same } from './views.ts'

/** The gradient of some rows and columns of a buffer. */
interface Piece {
  readonly of: Tensor
  gradient: Tensor
}

/**
 * The gradients of a recorded program while its steps are walked from the last to the first: those
 * of tensors, whose pieces are added up, and those of weights.
 */
export class Tape {
  readonly ops: TrainingRecorder
  readonly #isTrained: (weight: Weight) => boolean
  readonly #continues: boolean
  /** Buffers that depend on a trained weight. */
  readonly #active = new Set<Buffer>()
  readonly #pieces = new Map<Buffer, Piece[]>()
  readonly #weights = new Map<string, Tensor>()
  #sums = 0

  /** @param continues whether videos have states from an earlier chunk */
  constructor(ops: TrainingRecorder, isTrained: (weight: Weight) => boolean, continues: boolean) {
    this.ops = ops
    this.#isTrained = isTrained
    this.#continues = continues
    for (const step of ops.steps) this.follow(step)
  }

  /** Determines whether the outputs of a step depend on a trained weight. */
  follow(step: Step): void {
    const active =
      weightsOf(step).some(this.#isTrained) || inputsOf(step).some((input) => this.reaches(input))
    if (active) for (const { buffer } of outputsOf(step)) this.#active.add(buffer)
  }

  /** Makes the gradient of one buffer that of another, of the same layout. */
  move(from: Buffer, to: Buffer): void {
    const pieces = this.#pieces.get(from)
    if (!pieces) return
    this.#pieces.delete(from)
    this.#pieces.set(
      to,
      pieces.map(({ of, gradient }) => ({ of: { ...of, buffer: to }, gradient })),
    )
  }

  /**
   * Returns a state before the chunk, as an input of the program: the step has overwritten it when
   * its gradient is computed. Undefined if the videos begin with the chunk.
   * @param columns of the input; those after the state are other numbers
   */
  carried({ name, shape }: State, columns: number = shape.at(-1)!): Tensor | undefined {
    if (!this.#continues) return undefined
    return this.ops.input(carriedName(name), [...shape.slice(0, -1), columns])
  }

  /** The gradients of the trained weights, by name. */
  get weights(): ReadonlyMap<string, Tensor> {
    return this.#weights
  }

  /** Whether a tensor depends on a trained weight. If not, its gradient is not needed. */
  reaches({ buffer }: Tensor): boolean {
    return this.#active.has(buffer)
  }

  /** Whether the gradient of an output of a step is known and leads to a trained weight. */
  wants(step: Step): boolean {
    return outputsOf(step).some((output) => this.reaches(output) && this.#pieces.has(output.buffer))
  }

  /**
   * Adds to the gradient of a tensor, if it is needed.
   * @param gradient of as many rows, with any axes
   */
  add(x: Tensor | undefined, gradient: () => Tensor): void {
    if (!x || !this.reaches(x)) return
    const pieces = this.#pieces.get(x.buffer) ?? []
    this.#pieces.set(x.buffer, pieces)
    const added = { ...gradient(), shape: x.shape }
    const piece = pieces.find(({ of }) => same(of, x))
    if (piece) piece.gradient = this.#sum(x, piece.gradient, added)
    else pieces.push({ of: x, gradient: added })
  }

  /**
   * Removes the gradient that a tensor has so far, for an operation that adds it to its result.
   * @returns the gradient, as an option of the operation
   */
  take(x: Tensor): { readonly add?: Tensor } {
    const pieces = this.#pieces.get(x.buffer) ?? []
    const index = pieces.findIndex(({ of }) => same(of, x))
    return index < 0 ? {} : { add: pieces.splice(index, 1)[0]!.gradient }
  }

  /** Adds to the gradient of a weight, if it is trained. */
  addWeight(weight: Weight | undefined, gradient: () => Tensor): void {
    if (!weight || !this.#isTrained(weight)) return
    const before = this.#weights.get(weight.name)
    const added = gradient()
    this.#weights.set(weight.name, before ? this.#sum(before, before, added) : added)
  }

  /** Returns the gradient of an output of a step: the sum of its pieces. */
  of(output: Tensor): Tensor {
    const pieces = this.#pieces.get(output.buffer) ?? []
    this.#pieces.delete(output.buffer)
    const wholes = pieces.filter(({ of }) => columnsOf(of) === columnsOf(output))
    const columns = pieces.filter((piece) => !wholes.includes(piece))
    const all = wholes.map((piece) => this.#inAllTokens(output, piece))
    if (columns.length) all.push(this.#sideBySide(output, columns))
    const total = all.reduce((sum, gradient) => this.#sum(output, sum, gradient))
    return { ...total, shape: output.shape }
  }

  #sum({ buffer }: Tensor, one: Tensor, other: Tensor): Tensor {
    return this.ops.add(`gradient/${buffer.name}/sum${++this.#sums}`, one, other)
  }

  /** Returns the gradient of all tokens: 0 for those that are not in the piece. */
  #inAllTokens(output: Tensor, { of, gradient }: Piece): Tensor {
    if (rowsOf(of) === rowsOf(output)) return gradient
    const [b, t, n] = output.shape
    const [videos, frames, count] = of.shape
    if (of.offset !== output.offset || videos !== b || frames !== t || count !== 1)
      throw new TrecvitError(
        `The gradient of "${output.buffer.name}" [${output.shape}] expected a step that reads ` +
          `all tokens, or the first of each frame, got [${of.shape}]`,
      )
    const dy = { ...gradient, shape: [b!, t!, 1, columnsOf(of)] }
    return this.ops.poolGradient(`gradient/${output.buffer.name}/token${++this.#sums}`, dy, n!, 1)
      .dx
  }

  /** Returns the gradient of all columns, from pieces that cover them. */
  #sideBySide(output: Tensor, pieces: readonly Piece[]): Tensor {
    const sorted = [...pieces].sort((one, other) => one.of.offset - other.of.offset)
    let end = output.offset
    for (const { of } of sorted) {
      if (of.offset !== end || rowsOf(of) !== rowsOf(output)) break
      end += columnsOf(of)
    }
    const [a, b, c] = sorted
    if (end !== output.offset + columnsOf(output) || sorted.length > 3)
      throw new TrecvitError(
        `The gradient of "${output.buffer.name}" [${output.shape}] expected steps that read all ` +
          `its columns, got ${sorted.map(({ of }) => `[${of.shape}]`).join(' ')}`,
      )
    return this.ops.concatenate(
      `gradient/${output.buffer.name}/columns`,
      a!.gradient,
      b!.gradient,
      c ? { c: c.gradient } : {},
    )
  }
}
