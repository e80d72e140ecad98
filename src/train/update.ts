/** What follows the loss in a step of training: gradients, their norm, and the update. */
import type { Tensor, Weight } from '../program/program.ts'
import { type DifferentiateOptions, differentiate, type Seed } from './differentiate.ts'
import { TrainingRecorder } from './recorder.ts'
import {
  type Copied,
  decays,
  momentOf,
  type TrainingWeights,
  toParameters,
  withMoments,
} from './weights.ts'

/** Numbers of an update that the caller writes before each run, in `rates` (see adamW). */
const RATES = 8

/** The weights of a model in training, and which are trained. */
export interface Training {
  readonly weights: TrainingWeights
  readonly trained: readonly Copied[]
  /** What is kept of the forward pass (see differentiate); 'none' by default. */
  readonly recompute?: DifferentiateOptions['recompute']
}

/** Returns a recorder with all weights of a training. */
export function recorderOf({ weights, trained }: Training, b: number, t: number): TrainingRecorder {
  const table = withMoments(weights, trained).map((weight) => [weight.name, weight] as const)
  return new TrainingRecorder(b, t, new Map<string, Weight>(table))
}

/**
 * Records the gradients, their norm, and an update of the trained weights by AdamW, with the inputs
 * `rates` and `rates/decayed` [1, 8].
 * @param update whether the weights are updated
 * @returns outputs of the program: `norm` [1, 1], and `parameters/NAME`: the new values of
 * parameters that other weights are functions of. Without an update, `gradients/NAME` of each
 * trained weight instead.
 */
export function recordUpdate(
  ops: TrainingRecorder,
  { weights, trained, recompute = 'none' }: Training,
  seeds: readonly Seed[],
  update: boolean,
): Record<string, Tensor> {
  const names = neededNames(weights, trained)
  const found = differentiate(ops, seeds, ({ name }) => names.has(name), { recompute })
  const all = [...toParameters(ops, weights, found)].filter(([name]) => names.has(name))
  const gradients = new Map(all)
  const norm = recordNorm(ops, gradients)
  if (!update)
    return {
      norm,
      ...Object.fromEntries(all.map(([name, gradient]) => [`gradients/${name}`, gradient])),
    }
  recordAdamW(ops, trained, gradients, norm)
  const parts = weights.derived
    .flatMap(({ parameters }) => parameters)
    .filter((name) => gradients.has(name))
    .map((name) => `parameters/${name}`)
  return {
    norm,
    ...Object.fromEntries(
      parts.map((name) => [name, ops.weightValues(name, name.replace('parameters/', ''))]),
    ),
  }
}

/** Returns the weights whose gradients are needed: the trained ones, and functions of them. */
function neededNames(
  { derived }: TrainingWeights,
  trained: readonly Copied[],
): ReadonlySet<string> {
  const names = new Set(trained.map(({ name }) => name))
  for (const { name, parameters } of derived)
    if (parameters.some((parameter) => names.has(parameter))) names.add(name)
  return names
}

/** Records the norm of all gradients. */
function recordNorm(ops: TrainingRecorder, gradients: ReadonlyMap<string, Tensor>): Tensor {
  let norm: Tensor | undefined
  for (const [name, gradient] of gradients) {
    const ofRows = ops.rowNorms(`norm/${name}/rows`, gradient)
    norm = ops.norm(`norm/${name}`, ofRows, norm ? { add: norm } : {})
  }
  return norm!
}

function recordAdamW(
  ops: TrainingRecorder,
  trained: readonly Copied[],
  gradients: ReadonlyMap<string, Tensor>,
  norm: Tensor,
): void {
  const rates = ops.input('rates', [1, RATES])
  const decayed = ops.input('rates/decayed', [1, RATES])
  for (const weight of trained) {
    const gradient = gradients.get(weight.name)
    if (!gradient) continue
    const [m, v] = [momentOf('m', weight), momentOf('v', weight)]
    ops.adamW(
      ...([`update/${weight.name}`, gradient, decays(weight) ? decayed : rates, norm] as const),
      ...([weight.name, m, v] as const),
    )
  }
}
